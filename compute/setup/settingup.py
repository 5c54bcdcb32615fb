"""Setting a machine up: the training environment, made by a process that keeps its progress."""

import subprocess
import sys
from datetime import timedelta
from pathlib import Path

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django_q.tasks import async_task

from compute import environments
from compute.checks import checking
from compute.machines import history
from compute.machines.errors import MachineError
from compute.machines.reachability import mark_unreachable
from compute.machines.users import users
from compute.models import SILENT_AFTER, Machine, SetUp
from compute.runners.base import RunnerError, Unreachable
from compute.runners.ssh import setup

KEEP_LOG = 20_000  # characters
State = SetUp.State


class Kept(setup.Progress):
    """Progress in the row that the page shows."""

    def __init__(self, work: SetUp) -> None:
        self.work = work

    def step(self, title: str) -> None:
        self._keep(step=title[:200])

    def log(self, text: str) -> None:
        self.work.log = (self.work.log + text)[-KEEP_LOG:]
        self._keep(**({"log": self.work.log} if text else {}))

    def _keep(self, **fields: str) -> None:
        SetUp.objects.filter(pk=self.work.pk).update(**fields, beat_at=timezone.now())


def ask(machine: Machine, *, who: str = "") -> SetUp:
    """Have a machine set up by a process of its own. Raises ``MachineError``."""
    work = _wanted(machine, who)
    transaction.on_commit(lambda: async_task("compute.tasks.start_set_up", machine.pk), robust=True)
    return work


def _wanted(machine: Machine, who: str) -> SetUp:
    """The row of a set-up that waits to be done."""
    if problem := why_not(machine):
        raise MachineError(problem)
    now = timezone.now()
    fresh = {"state": State.WAITING, "step": "", "log": "", "error": "", "ended_at": None}
    with transaction.atomic():
        work, made = SetUp.objects.select_for_update().get_or_create(
            machine=machine, defaults={"asked_at": now, "beat_at": now}
        )
        if not made and work.is_busy:
            raise MachineError(f"A set-up of {machine} is under way.")
        SetUp.objects.filter(pk=work.pk).update(asked_at=now, beat_at=now, **fresh)
        history.record(machine, "set-up asked", f"With verl {machine.verl}.", who=who)
    work.refresh_from_db()
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


def start_process(machine: Machine) -> None:
    """Start a process for the set-up: it may take an hour, and a task only two minutes."""
    argv = [sys.executable, "manage.py", "machine", "work", machine.name]
    with (Path(settings.TRAINYARD_HOME) / "machines.log").open("ab") as out:
        subprocess.Popen(
            argv, cwd=settings.BASE_DIR, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
            start_new_session=True,
        )  # fmt: skip


def set_up(machine: Machine, progress: setup.Progress | None = None, *, who: str = "") -> str:
    """Set a machine up now, in this process, and return its training Python.

    Raises ``MachineError``.
    """
    return work_off(_wanted(machine, who), progress)


def work_off(work: SetUp, also: setup.Progress | None = None) -> str:
    """Do a set-up that waits. Raises ``MachineError``, which stands in its row as well."""
    if not _claim(work):
        raise MachineError(f"{work} is under way, or nobody asked for it.")
    machine, kept = work.machine, Both(Kept(work), also or setup.Progress())
    plan = setup.Plan(
        Path(settings.TRAINYARD_VERL_SCHEMA), environments.folder_of(machine.verl), machine.workdir
    )
    try:
        python = setup.set_up(checking.commands_on(machine), plan, kept)
    except RunnerError as error:
        if isinstance(error, Unreachable):
            mark_unreachable(machine, error)
        _end(work, State.FAILED, str(error))
        raise MachineError(str(error)) from None
    except BaseException:
        _end(work, State.FAILED, "It was broken off. Set up again: what is there is kept.")
        raise
    Machine.objects.filter(pk=machine.pk).update(python=python)
    machine.refresh_from_db()
    kept.step("Checking the machine")
    checking.check(machine)
    _end(work, State.DONE)
    return python


class Both(setup.Progress):
    def __init__(self, *several: setup.Progress) -> None:
        self.several = several

    def step(self, title: str) -> None:
        for one in self.several:
            one.step(title)

    def log(self, text: str) -> None:
        for one in self.several:
            one.log(text)


def _claim(work: SetUp) -> bool:
    """Let one process do it alone; a process that was silent for too long loses it."""
    now = timezone.now()
    silent = Q(state=State.WORKING, beat_at__lt=now - timedelta(seconds=SILENT_AFTER))
    free = SetUp.objects.filter(Q(state=State.WAITING) | silent, pk=work.pk)
    return bool(free.update(state=State.WORKING, beat_at=now))


def _end(work: SetUp, state: SetUp.State, error: str = "") -> None:
    with transaction.atomic():
        SetUp.objects.filter(pk=work.pk).update(
            state=state, error=error, ended_at=timezone.now(), beat_at=timezone.now()
        )
        history.record(work.machine, f"set-up {state.value}", error or work.machine.python)
