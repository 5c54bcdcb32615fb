"""Checking a group: what its machines lack, and whether a Ray comes up over all of them."""

import secrets
from collections.abc import Iterator

from compute.machines.groups import members_of
from compute.machines.paths import settle_paths
from compute.machines.runners import runner_for
from compute.models import Machine, Membership
from compute.runners.base import RunnerError
from compute.runners.check.preflight import CheckLine, CheckReport
from compute.runners.ssh import group as joint
from compute.runners.ssh.runner import SshRunner

UP_WITHIN = 60.0  # seconds; a task of the workers may take two minutes
MEMORY = 80_000_000  # bytes of an object store that holds nothing


def check_group(group: Machine) -> CheckReport:
    """The last check of each machine in a line, and a trial of all of them together."""
    members = members_of(group)
    return CheckReport([*map(_member, members), *_trial(group, members)], {})


def _member(member: Membership) -> CheckLine:
    machine = member.machine
    name, fix = f"member-{member.place}", f"manage.py machine check '{machine}'"
    failed = [check["label"] for check in machine.checks if check["outcome"] == "fail"]
    if machine.unreachable_since:
        why = machine.unreachable_reason
        return CheckLine(name, machine.name, "fail", "unreachable", why, fix)
    if failed:
        return CheckLine(name, machine.name, "fail", f"{len(failed)} fail", ", ".join(failed), fix)
    if not machine.checks:
        return CheckLine(name, machine.name, "unknown", "", "It was never checked.")
    return CheckLine(name, machine.name, "pass", f"{len(machine.checks)} checks")


def _trial(group: Machine, members: list[Membership]) -> Iterator[CheckLine]:
    """Bring Ray up as before a run and take it down: this tries ports, addresses, the folder."""
    label = "Together"
    try:
        settle_paths(group)
        parts = [part for part in map(_part, members) if part]
        folder = f"{group.workdir}/checks/{secrets.token_hex(6)}"
        joint.bring_up(folder, parts, within=UP_WITHIN)
    except RunnerError as error:
        yield CheckLine("together", label, "fail", "Ray does not come up over all", str(error))
        return
    problems = joint.take_down(folder, parts)
    found = f"Ray came up over all {len(parts)} and was taken down; they share {group.workdir}"
    yield CheckLine("together", label, "fail" if problems else "pass", found, " ".join(problems))


def _part(member: Membership) -> joint.Part | None:
    runner = runner_for(member.machine)
    if not isinstance(runner, SshRunner):
        return None
    return joint.Part(member.machine.name, runner, member.inner_address, 0, cpus=1, memory=MEMORY)
