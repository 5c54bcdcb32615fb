"""Setting a machine up: the training environment, made by a process that keeps its progress."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction

from compute import environments, events
from compute.checks import checking
from compute.machines import history
from compute.machines.errors import MachineError
from compute.machines.reachability import mark_unreachable
from compute.machines.users import users
from compute.models import Machine, SetUp
from compute.runners.base import RunnerError, Unreachable
from compute.runners.ssh import setup
from platform_site.work import doing, verbs

KEEP_LOG = 20_000  # characters


class Kept(setup.Progress):
    """Progress in the row that the page shows."""

    def __init__(self, work: SetUp) -> None:
        self.work, self.progress = work, doing.Progress(work)

    def step(self, title: str) -> None:
        self.progress.keep(step=title[:200])

    def log(self, text: str) -> None:
        self.work.log = (self.work.log + text)[-KEEP_LOG:]
        self.progress.keep(**({"log": self.work.log} if text else {}))


def ask(machine: Machine, *, who: str = "") -> SetUp:
    """Have a machine set up by a process of its own. Raises ``MachineError``."""
    with transaction.atomic():
        work = _wanted(machine, who)
        verbs.ask(work)
    return work


def _wanted(machine: Machine, who: str) -> SetUp:
    """The row of a set-up that waits to be done."""
    if problem := why_not(machine):
        raise MachineError(problem)
    with transaction.atomic():
        work, made = SetUp.objects.get_or_create(machine=machine, defaults={"who": who})
        if not made and not verbs.renew(work, step="", log="", who=who):
            raise MachineError(f"A set-up of {machine} is under way.")
        history.record(machine, events.SET_UP_ASKED, f"With verl {machine.verl}.", who=who)
    return work


def why_not(machine: Machine) -> str | None:
    """Why a machine cannot be set up now, or None."""
    if machine.is_local:
        return "The environment of this machine is made by make install."
    if machine.is_ray:
        return "The nodes of a Ray cluster come with their environment: it must have verl."
    if machine.is_group:
        return "Its machines are set up by themselves."
    if not machine.is_confirmed:
        return "Confirm the machine's host key first."
    if machine.python and not checking.is_own(machine):
        return (
            f"This machine uses the Python {machine.python}, which is yours. Empty that field to "
            "have an environment made."
        )
    if users().running(machine):
        return "Jobs run there, with the code that would be replaced. Wait for their end."
    return None


def set_up(machine: Machine, progress: setup.Progress | None = None, *, who: str = "") -> str:
    """Set a machine up now, in this process, and return its training Python.

    Raises ``MachineError``.
    """
    work = _wanted(machine, who)
    work_off(work, progress)
    if not work.is_done:
        raise MachineError(work.error or f"{work} was cancelled.")
    return work.machine.python


def work_off(work: SetUp, also: setup.Progress | None = None) -> bool:
    """Do a set-up that waits; false when somebody else does it, or nobody asked for it."""
    progress = Both(Kept(work), also or setup.Progress())
    return doing.do(work, lambda work: _made(work, progress), _tell_end)


def _made(work: SetUp, progress: setup.Progress) -> dict[str, Any]:
    """Make the environment, and check the machine with it."""
    machine = work.machine
    plan = setup.Plan(
        Path(settings.TRAINYARD_VERL_SCHEMA), environments.folder_of(machine.verl), machine.workdir
    )
    try:
        python = setup.set_up(checking.commands_on(machine), plan, progress)
    except RunnerError as error:
        if isinstance(error, Unreachable):
            mark_unreachable(machine, error)
        raise doing.WorkFailed(str(error)) from None
    Machine.objects.filter(pk=machine.pk).update(python=python)
    machine.refresh_from_db()
    progress.step("Checking the machine")
    checking.check(machine)
    return {}


def _tell_end(work: SetUp) -> None:
    kind = events.SET_UP_ENDED[work.state]
    history.record(work.machine, kind, work.error or work.machine.python)


class Both(setup.Progress):
    def __init__(self, *several: setup.Progress) -> None:
        self.several = several

    def step(self, title: str) -> None:
        for one in self.several:
            one.step(title)

    def log(self, text: str) -> None:
        for one in self.several:
            one.log(text)
