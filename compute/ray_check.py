"""Checking a Ray cluster through its Jobs API."""

from compute import environments
from compute.models import Machine
from compute.runners.base import RunnerError, Unreachable
from compute.runners.cluster import preflight
from compute.runners.cluster.api import api_of
from compute.runners.preflight import Check, Expected, Looked
from compute.services import mark_reachable, mark_unreachable, token_of


def look(machine: Machine) -> Looked:
    """Its nodes and what one of them has, and whether all see the work folder."""
    expected = Expected(
        name=machine.name,
        release=machine.verl,
        workdir=machine.workdir,
        python=machine.python,
        node=environments.node_version(),
        lock=environments.lock_of(machine.verl),
        is_own=False,
    )
    seen: list[Unreachable] = []
    try:
        api = api_of(machine.ray_address, token_of(machine))
    except RunnerError as error:
        return Looked([Check("login", "Token", "fail", "it does not open", str(error))], {})
    looked = preflight.look(api, expected, seen.append)
    if seen:
        mark_unreachable(machine, seen[-1])
    else:
        mark_reachable(machine)
    return looked
