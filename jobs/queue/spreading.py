"""How a job lies on the nodes of its machine, where that is a cluster."""

from compute.machines.devices import nodes_of
from compute.models import Machine
from compute.runners.check.judgements import CANNOT_START
from compute.runners.ssh.workdir import is_plain
from jobs.verl.kinds import KINDS, is_rl
from jobs.verl.knobs import number
from jobs.verl.spec import Spread, TrainSpec
from jobs.verl.spread import spread_over


def spread_of(machine: Machine, spec: TrainSpec) -> Spread | None:
    """None on a single machine. Raises ``ValueError`` with a sentence where it cannot lie."""
    nodes = nodes_of(machine)
    if nodes is None:
        return None
    if not nodes:
        raise ValueError(f"The nodes of {machine} are not known yet: check the machine first.")
    if not takes_devices(spec):
        return Spread(1, number(spec, "gpus"))
    return spread_over(spec.kind, number(spec, "gpus"), nodes)


def misspread(machine: Machine, spec: TrainSpec) -> str:
    """Why a run cannot start on the machine, by its Python or its nodes; empty when it can."""
    if not KINDS[spec.kind].torchrun and not machine.is_ray and not is_plain(machine.python):
        return (
            f"{CANNOT_START} That of {machine} is {machine.python}. Set the machine up (again), or "
            "name a Python in a folder with a plain name."
        )
    try:
        spread_of(machine, spec)
    except ValueError as error:
        return str(error)
    return ""


def shown_spread(machine: Machine, spec: TrainSpec) -> Spread | None:
    """The same for a look at the command: on one node while it cannot be known better."""
    try:
        return spread_of(machine, spec)
    except ValueError:
        return Spread(1, number(spec, "gpus"))


def takes_devices(spec: TrainSpec) -> bool:
    """Ray counts devices for a run by verl's actors, on the CPU too; torchrun's ranks need none."""
    return is_rl(spec.kind) or spec.values.get("device") == "cuda"


def taken_at_start(spec: TrainSpec) -> int:
    """The GPUs that the process itself takes: torchrun's. verl's actors ask Ray for theirs."""
    is_here = KINDS[spec.kind].torchrun and spec.values.get("device") == "cuda"
    return number(spec, "gpus") if is_here else 0
