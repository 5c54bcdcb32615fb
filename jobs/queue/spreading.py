"""How a job lies on the nodes of its machine, where that is a cluster."""

from compute.machines.devices import nodes_of
from compute.models import Machine
from compute.runners.check.judgements import CANNOT_START
from compute.runners.ssh.workdir import is_plain
from jobs.kinds.base import Spec
from jobs.kinds.registry import kind_of
from jobs.process import Spread


def spread_of(machine: Machine, spec: Spec) -> Spread | None:
    """None on a single machine. Raises ``ValueError`` with a sentence where it cannot lie."""
    nodes = nodes_of(machine)
    if nodes is None:
        return None
    if not nodes:
        raise ValueError(f"The nodes of {machine} are not known yet: check the machine first.")
    return kind_of(spec).spread(spec, nodes)


def misspread(machine: Machine, spec: Spec) -> str:
    """Why a run cannot start on the machine, by its Python or its nodes; empty when it can."""
    if kind_of(spec).starts_ray and not machine.is_ray and not is_plain(machine.python):
        return (
            f"{CANNOT_START} That of {machine} is {machine.python}. Set the machine up (again), or "
            "name a Python in a folder with a plain name."
        )
    try:
        spread_of(machine, spec)
    except ValueError as error:
        return str(error)
    return ""


def shown_spread(machine: Machine, spec: Spec) -> Spread | None:
    """The same for a look at the command: on one node while it cannot be known better."""
    try:
        return spread_of(machine, spec)
    except ValueError:
        return Spread(1, kind_of(spec).ranks(spec))
