"""The runner of a machine, by its kind."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from django.conf import settings

from compute.machines.addresses import address_of, forget, token_of
from compute.models import Machine
from compute.runners.base import Runner, RunnerError, Unreachable
from compute.runners.cluster.spool import Room
from compute.runners.local.runner import LocalRunner
from compute.runners.ssh.runner import SshRunner

if TYPE_CHECKING:
    from compute.runners.cluster.runner import RayRunner


def runner_for(machine: Machine) -> Runner:
    """What starts, reads and stops runs there. Making it asks nothing of the machine."""
    if machine.is_local:
        return LocalRunner(machine.python, machine.workdir)
    if machine.is_group:
        head = machine.memberships.select_related("machine").first()
        return runner_for(head.machine) if head else no_runner(f"{machine} has no members.")
    if machine.is_retired:
        forget(machine.pk)
        return no_runner(f"{machine} was removed from Trainyard, with what opens it.")
    if machine.is_ray:
        return ray_runner(machine)
    try:
        # Before there is an environment, any Python reads files and tells the time.
        return SshRunner(address_of(machine), machine.python or "python3", machine.workdir)
    except RunnerError as error:
        return no_runner(str(error))


def ray_runner(machine: Machine) -> Runner:
    from compute.runners.cluster.runner import RayRunner  # its HTTP takes half a second to import

    try:
        token = token_of(machine)
    except RunnerError as error:
        return no_runner(str(error))
    spools = Path(settings.TRAINYARD_HOME) / "ray"
    room = Room(settings.TRAINYARD_LARGEST_LOG, settings.TRAINYARD_KEEP_FREE)
    return RayRunner(machine.ray_address, token, machine.python, machine.workdir, spools, room)


def is_cut(machine: Machine, run_dir: str) -> bool:
    """Whether a run's log on a Ray cluster is longer than what is kept of it here."""
    runner = with_copies(machine)
    return runner is not None and runner.is_cut(run_dir)


def copy_here(machine: Machine, run_dir: str) -> Path | None:
    """The folder here with the files of a run: its own, or the copy of a run on a Ray cluster.

    None where no copy is kept, and where what opens the machine is gone.
    """
    if machine.is_local:
        return Path(run_dir)
    runner = with_copies(machine)
    return runner.copy_of(run_dir) if runner else None


def with_copies(machine: Machine) -> "RayRunner | None":
    """The runner that keeps copies here: that of a Ray cluster which can be asked."""
    if not machine.is_ray:
        return None
    from compute.runners.cluster.runner import RayRunner

    runner = ray_runner(machine)
    return runner if isinstance(runner, RayRunner) else None


def no_runner(reason: str) -> Runner:
    """A runner whose every method raises ``Unreachable`` with this reason."""

    class NoRunner:
        def __getattr__(self, name: str) -> Any:
            def refuse(*_: Any, **__: Any) -> None:
                raise Unreachable(reason)

            return refuse

    return cast(Runner, NoRunner())
