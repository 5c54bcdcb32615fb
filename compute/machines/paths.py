"""The whole paths of a machine's work folder and Python, as its own user sees them."""

from compute.machines.runners import runner_for
from compute.models import Machine
from compute.runners.base import RunnerError
from compute.runners.ssh.runner import SshRunner


def settle_paths(machine: Machine) -> None:
    """Write the home of the far user in place of a ``~``: what a run is told must be whole paths.

    Raises ``RunnerError``.
    """
    if machine.is_group:
        _settle_group(machine)
        return
    runner = runner_for(machine)
    if isinstance(runner, SshRunner):
        whole = {"workdir": runner.workdir, "python": runner.python}
        if (machine.workdir, machine.python) != (whole["workdir"], whole["python"]):
            Machine.objects.filter(pk=machine.pk).update(**whole)
            machine.workdir, machine.python = whole["workdir"], whole["python"]


def _settle_group(group: Machine) -> None:
    """A group's paths are its head's, and must be the same on all."""
    members = [each.machine for each in group.memberships.select_related("machine")]
    for member in members:
        settle_paths(member)
    head = members[0]
    for member in members:
        if member.workdir != head.workdir:
            raise RunnerError(
                f"The work folder is {member.workdir} on {member} and {head.workdir} on {head}: "
                "it must be the same on all machines of a group."
            )
    kept = {"workdir": head.workdir, "python": head.python, "verl": head.verl}
    Machine.objects.filter(pk=group.pk).update(**kept)
    group.workdir, group.python, group.verl = head.workdir, head.python, head.verl
