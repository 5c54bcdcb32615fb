"""Checking a machine: its preflight, run and kept."""

import os
import shlex
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence

from django.db import transaction
from django.utils import timezone
from django_q.tasks import async_task

from compute import environments, history
from compute.checks import together
from compute.models import Machine
from compute.runners.base import RunnerError, RunnerUnsure, Unreachable
from compute.runners.check import preflight
from compute.runners.check import ray as ray_check
from compute.runners.check.preflight import Ask, Check, Expected, Looked
from compute.runners.cluster.api import api_of
from compute.runners.local.runner import OWN_SECRETS
from compute.runners.ssh.connection import connection_to
from compute.services import address_of, mark_reachable, mark_unreachable, token_of


def ask_check(machine: Machine, *, who: str = "") -> bool:
    """Have the workers check a machine; false when they are at it."""
    if machine.is_being_checked:
        return False
    for member in machine.memberships.select_related("machine"):
        ask_check(member.machine, who=who)
    Machine.objects.filter(pk=machine.pk).update(check_asked_at=timezone.now())
    transaction.on_commit(lambda: async_task("compute.tasks.check", machine.pk, who), robust=True)
    return True


def check(machine: Machine, *, who: str = "") -> Looked:
    """Check a machine now and keep what was found."""
    began = timezone.now()
    looked = LOOKS.get(machine.kind, _look)(machine)
    found = {"checks": [one.to_json() for one in looked.checks], "checked_at": timezone.now()}
    if looked.facts or looked.nodes:  # otherwise the last known ones stay
        nodes = {"nodes": [dict(node) for node in looked.nodes]} if looked.nodes else {}
        found["facts"] = {"at": began.isoformat(), "parts": dict(looked.facts), **nodes}
    with transaction.atomic():
        Machine.objects.filter(pk=machine.pk).update(**found)
        history.record(machine, "checked", counted(looked), who=who)
    machine.refresh_from_db()
    return looked


def counted(looked: Looked) -> str:
    """How many checks had which outcome, and which failed."""
    outcomes = Counter(one.outcome for one in looked.checks)
    named = ", ".join(one.label for one in looked.failed)
    parts = [f"{outcomes['pass']} passed"]
    parts += [f"{len(looked.failed)} failed ({named})"] if looked.failed else []
    parts += [f"{outcomes['unknown']} unknown"] if outcomes["unknown"] else []
    return f"{', '.join(parts)}."


def _look(machine: Machine) -> Looked:
    seen: list[Unreachable] = []

    def watched(argv: Sequence[str], stdin: bytes, within: float) -> bytes:
        try:
            return asker(machine)(argv, stdin, within)
        except Unreachable as error:
            seen.append(error)
            raise

    if not machine.is_local:
        connection_to(address_of(machine)).retry_now()
    looked = preflight.look(watched, expected_of(machine))
    if not machine.is_local:
        _mark(machine, seen)
    return looked


def _look_at_cluster(machine: Machine) -> Looked:
    """Its nodes and what one of them has, and whether all see the work folder."""
    seen: list[Unreachable] = []
    try:
        api = api_of(machine.ray_address, token_of(machine))
    except RunnerError as error:
        return Looked([Check("login", "Token", "fail", "it does not open", str(error))], {})
    looked = ray_check.look(api, expected_of(machine), seen.append)
    _mark(machine, seen)
    return looked


def _mark(machine: Machine, seen: list[Unreachable]) -> None:
    """Whether it answered: ``seen`` is what kept it from being asked."""
    if seen:
        mark_unreachable(machine, seen[-1])
    else:
        mark_reachable(machine)


def asker(machine: Machine) -> Ask:
    """How the fixed programs of the preflight and the set-up reach a machine."""
    return _here if machine.is_local else connection_to(address_of(machine)).run


def _here(argv: Sequence[str], stdin: bytes, within: float) -> bytes:
    program = sys.executable if argv[0] == "python3" else argv[0]
    kept = {name: value for name, value in os.environ.items() if name not in OWN_SECRETS}
    try:
        done = subprocess.run(
            [program, *argv[1:]], input=stdin, env=kept,
            capture_output=True, timeout=within, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise RunnerUnsure(f"No answer for {within:.0f} s.") from None
    except OSError as error:
        raise RunnerError(f"{program} does not start: {error.strerror}.") from error
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise RunnerError(said[-1] if said else f"It ended with {done.returncode}.")
    return done.stdout


def expected_of(machine: Machine) -> Expected:
    return Expected(
        name=machine.name,
        release=machine.verl,
        workdir=machine.workdir,
        python=machine.python,
        node=environments.node_version(),
        lock=environments.lock_of(machine.verl),
        host=machine.host,
        by_hand=by_hand(machine),
        is_local=machine.is_local,
        is_own=is_own(machine),
    )


def is_own(machine: Machine) -> bool:
    """Whether the training environment is one that a set-up made, or will make."""
    if machine.is_ray:
        return False
    return not machine.python or f"/environments/{environments.folder_of(machine.verl)}/" in (
        machine.python
    )


LOOKS: dict[str, Callable[[Machine], Looked]] = {
    Machine.Kind.GROUP: together.look,
    Machine.Kind.RAY: _look_at_cluster,
}


def by_hand(machine: Machine) -> str:
    """The command that logs in to the machine as Trainyard does."""
    words = ["ssh", "-p", str(machine.port)]
    if machine.jump_host:
        user = machine.jump_user or machine.user
        words += ["-J", f"{user}@{machine.jump_host}:{machine.jump_port}"]
    return shlex.join([*words, f"{machine.user}@{machine.host}"])
