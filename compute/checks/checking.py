"""Checks a machine and keeps what was found."""

import shlex
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

from django.db import transaction
from django.utils import timezone
from django_q.tasks import async_task

from compute import environments, events
from compute.checks import together
from compute.machines import history
from compute.machines.addresses import address_of, token_of
from compute.machines.reachability import mark_reachable, mark_unreachable
from compute.machines.runners import runner_for
from compute.models import Machine
from compute.runners.base import RunnerError, Unreachable
from compute.runners.check import preflight
from compute.runners.check import ray as ray_check
from compute.runners.check.preflight import CheckLine, CheckReport, Expected
from compute.runners.cluster.api import api_of
from compute.runners.commands import RunCommand
from compute.runners.local.commands import run_here
from compute.runners.ssh.connection import connection_to


def ask_check(machine: Machine, *, who: str = "") -> bool:
    """Have the workers check a machine; false when they are at it."""
    if machine.is_being_checked:
        return False
    for member in machine.memberships.select_related("machine"):
        ask_check(member.machine, who=who)
    Machine.objects.filter(pk=machine.pk).update(check_asked_at=timezone.now())
    transaction.on_commit(lambda: async_task("compute.tasks.check", machine.pk, who), robust=True)
    return True


def check(machine: Machine, *, who: str = "") -> CheckReport:
    """Check a machine now and keep what was found."""
    began = timezone.now()
    report = CHECKS.get(machine.kind, _check_machine)(machine)
    found = {"checks": [one.to_json() for one in report.lines], "checked_at": timezone.now()}
    if report.facts or report.nodes:  # otherwise the last known ones stay
        nodes = {"nodes": [dict(node) for node in report.nodes]} if report.nodes else {}
        found["facts"] = {"at": began.isoformat(), "parts": dict(report.facts), **nodes}
    with transaction.atomic():
        Machine.objects.filter(pk=machine.pk).update(**found)
        history.record(machine, events.CHECKED, counted(report), who=who)
    machine.refresh_from_db()
    return report


def counted(report: CheckReport) -> str:
    """How many checks had which outcome, and which failed."""
    outcomes = Counter(one.outcome for one in report.lines)
    named = ", ".join(one.label for one in report.failed)
    parts = [f"{outcomes['pass']} passed"]
    parts += [f"{len(report.failed)} failed ({named})"] if report.failed else []
    parts += [f"{outcomes['unknown']} unknown"] if outcomes["unknown"] else []
    return f"{', '.join(parts)}."


def _check_machine(machine: Machine) -> CheckReport:
    seen: list[Unreachable] = []

    def watched(argv: Sequence[str], stdin: bytes, within: float) -> bytes:
        try:
            return commands_on(machine)(argv, stdin, within)
        except Unreachable as error:
            seen.append(error)
            raise

    if not machine.is_local:
        connection_to(address_of(machine)).retry_now()
    report = preflight.check_machine(watched, expected_of(machine))
    if machine.is_local:
        return report
    _mark(machine, seen)
    return replace(report, lines=[*report.lines, _files(machine, report)])


def _files(machine: Machine, report: CheckReport) -> CheckLine:
    """Ask about the work folder by the very process that every run is read by."""
    if not report.facts:
        return CheckLine("files", "Files", "unknown", "", preflight.NOT_ASKED)
    try:
        is_there = runner_for(machine).exists(machine.workdir)
    except RunnerError as error:
        fix = expected_of(machine).set_up
        return CheckLine("files", "Files", "fail", "no answer", str(error), fix)
    will = "is there" if is_there else "will be made"
    return CheckLine("files", "Files", "pass", f"{machine.workdir} {will}")


def _check_cluster(machine: Machine) -> CheckReport:
    """Check the nodes, the environment of one of them, and whether all see the work folder."""
    seen: list[Unreachable] = []
    try:
        api = api_of(machine.ray_address, token_of(machine))
    except RunnerError as error:
        return CheckReport(
            [CheckLine("login", "Token", "fail", "it does not open", str(error))], {}
        )
    report = ray_check.check_cluster(api, expected_of(machine), seen.append)
    _mark(machine, seen)
    return report


def _mark(machine: Machine, seen: list[Unreachable]) -> None:
    """Record whether the machine answered: ``seen`` are the errors that say that it did not."""
    if seen:
        mark_unreachable(machine, seen[-1])
    else:
        mark_reachable(machine)


def commands_on(machine: Machine) -> RunCommand:
    """The function that runs the fixed programs of a check and a set-up on the machine."""
    return run_here if machine.is_local else connection_to(address_of(machine)).run


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


CHECKS: dict[str, Callable[[Machine], CheckReport]] = {
    Machine.Kind.GROUP: together.check_group,
    Machine.Kind.RAY: _check_cluster,
}


def by_hand(machine: Machine) -> str:
    """The command that logs in to the machine as Trainyard does."""
    argv = ["ssh", "-p", str(machine.port)]
    if machine.jump_host:
        user = machine.jump_user or machine.user
        argv += ["-J", f"{user}@{machine.jump_host}:{machine.jump_port}"]
    return shlex.join([*argv, f"{machine.user}@{machine.host}"])
