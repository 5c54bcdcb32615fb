"""Bringing a checkpoint of a far run to this machine, by a process that keeps its progress."""

import subprocess
import sys
import time
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from compute.machines.local import local_machine
from compute.machines.reachability import mark_unreachable
from compute.machines.runners import runner_for
from compute.runners import fetching
from compute.runners.base import Gone, NeverPossible, RunnerError, Told, Unreachable
from jobs import lifecycle
from jobs.artifacts.keeping import artifact_at, keep_place, note_gone
from jobs.checkpoints import known_of
from jobs.files.parents import fetched_folder
from jobs.models import Fetch, Job
from jobs.work import later
from platform_site.work.beating import beating

State = Fetch.State
BEAT = 15.0  # seconds; its own thread, since a file that is looked through says nothing
TELL_EVERY = 1.0
AGAIN = " Ask again: what came is kept and gone on with."


class FetchError(Exception):
    """It cannot be done. The message is a sentence for the user."""


class Cancelled(Exception):
    """Somebody does not want it any more, or somebody else does it."""


def ask(job: Job, step: int, *, who: str) -> Fetch:
    """Have a checkpoint brought here by a process of its own; who asks second finds the first's.

    Raises ``FetchError``.
    """
    with transaction.atomic():
        fetch, is_new = _wanted(job, step, fetched_folder(job), who)
        if is_new:
            later("jobs.tasks.start_fetch", fetch.pk)
    return fetch


def fetch_now(job: Job, step: int, *, who: str, into: Path | None = None, told: Told) -> Fetch:
    """Bring a checkpoint here in this process, to ``into`` or where the pages show it.

    Raises ``FetchError``, also when somebody brings it already.
    """
    if into and (into / f"global_step_{step}").exists() and not _brought(job, step, into):
        raise FetchError(f"{into}/global_step_{step} is there already. Name another folder.")
    fetch, is_new = _wanted(job, step, into or fetched_folder(job), who)
    if fetch.is_here:
        return fetch
    if not is_new:
        raise FetchError(f"{fetch} is on its way already: {fetch.percent} %.")
    work_off(fetch, told)
    return fetch


def _brought(job: Job, step: int, into: Path) -> bool:
    target = str(into / f"global_step_{step}")
    return Fetch.objects.filter(job=job, step=step, state=State.DONE, target=target).exists()


def _wanted(job: Job, step: int, into: Path, who: str) -> tuple[Fetch, bool]:
    """The row of a checkpoint, and whether it is to be worked for from now on."""
    source = _source(job, step)
    target = str(into / f"global_step_{step}")
    now = timezone.now()
    fresh = {
        "source": source, "target": target, "state": State.WAITING, "who": who, "asked_at": now,
        "beat_at": now, "bytes_done": 0, "bytes_total": 0, "error": "", "cancel_asked_at": None,
        "ended_at": None,
    }  # fmt: skip
    with transaction.atomic():
        fetch, made = Fetch.objects.select_for_update().get_or_create(
            job=job, step=step, defaults=fresh
        )
        if not made and (fetch.is_busy or (fetch.is_here and fetch.target == target)):
            return fetch, False
        Fetch.objects.filter(pk=fetch.pk).update(**fresh)
        lifecycle.record(job, "checkpoint asked for", who=who, message=f"Step {step}: to {target}.")
        lifecycle.touch(job)
    fetch.refresh_from_db()
    return fetch, True


def _source(job: Job, step: int) -> str:
    found = [saved for saved in known_of(job) if saved.step == step]
    if not found:
        raise FetchError(f"No checkpoint of step {step} is known of job {job.pk}.")
    if job.machine.is_local:
        raise FetchError(f"It is on this machine already: {found[0].folder}")
    if found[0].artifact.is_unfinished:
        raise FetchError(f"The checkpoint of step {step} is not complete: wait until it is saved.")
    return found[0].folder


def start_process(fetch: Fetch) -> None:
    """A task may take two minutes and a checkpoint hours: it gets a process of its own."""
    argv = [sys.executable, "manage.py", "fetch", str(fetch.job_id), "--step", str(fetch.step)]
    with (Path(settings.TRAINYARD_HOME) / "fetch.log").open("ab") as out:
        subprocess.Popen(
            [*argv, "--asked"], cwd=settings.BASE_DIR, stdin=subprocess.DEVNULL, stdout=out,
            stderr=out, start_new_session=True,
        )  # fmt: skip


def work_off(fetch: Fetch, told: Told) -> None:
    """Do what waits to be done. Raises ``FetchError``, which stands in its row as well."""
    if not _claim(fetch):
        raise FetchError(f"{fetch} is on its way already, or nobody asked for it.")
    machine = fetch.job.machine
    try:
        with _beating(fetch):
            keep = Kept(fetch, told)
            _bring(fetch, keep)
    except Cancelled:
        _end(fetch, State.CANCELLED, "What came is kept, and gone on with when it is asked again.")
        raise FetchError(f"{fetch} was cancelled.") from None
    except RunnerError as error:
        if isinstance(error, Unreachable):
            mark_unreachable(machine, error)
        again = "" if isinstance(error, NeverPossible) else AGAIN
        _end(fetch, State.FAILED, f"{error}{again}")
        raise FetchError(str(error)) from None
    except BaseException:
        _end(fetch, State.FAILED, "It was broken off. Ask again: what came is kept.")
        raise
    _end(fetch, State.DONE)


def _bring(fetch: Fetch, keep: "Kept") -> None:
    machine = fetch.job.machine
    artifact = artifact_at(fetch.source, {machine.pk: machine})
    try:
        fetching.fetch(runner_for(machine), fetch.source, Path(fetch.target), keep)
    except Gone:
        note_gone(machine, fetch.source)
        raise
    if artifact:
        keep_place(artifact, local_machine(), fetch.target)


class Kept:
    """Progress in the row that the page shows; it ends what was cancelled."""

    def __init__(self, fetch: Fetch, told: Told) -> None:
        self.fetch, self.told, self.next = fetch, told, 0.0

    def __call__(self, done: int, total: int) -> None:
        if time.monotonic() < self.next and done < total:
            return
        self.next = time.monotonic() + TELL_EVERY
        row = Fetch.objects.filter(
            pk=self.fetch.pk, state=State.WORKING, asked_at=self.fetch.asked_at,
            cancel_asked_at=None,
        )  # fmt: skip
        if not row.update(bytes_done=done, bytes_total=total, beat_at=timezone.now()):
            raise Cancelled
        self.told(done, total)


def cancel(job: Job, step: int, *, who: str) -> bool:
    """Let what is on its way end; false when nothing is."""
    now = timezone.now()
    rows = Fetch.objects.filter(job=job, step=step, cancel_asked_at=None)
    with transaction.atomic():
        waiting = rows.filter(state=State.WAITING).update(
            state=State.CANCELLED, cancel_asked_at=now, ended_at=now
        )
        done = waiting or rows.filter(state=State.WORKING).update(cancel_asked_at=now)
        if done:
            lifecycle.record(job, "checkpoint not wanted", who=who, message=f"Step {step}.")
            lifecycle.touch(job)
    return bool(done)


def _claim(fetch: Fetch) -> bool:
    """Only one process does it; one that gave no sign of life for long is not waited for."""
    now = timezone.now()
    silent = Q(state=State.WORKING, beat_at__lt=now - timedelta(seconds=Fetch.SILENT_AFTER))
    free = Fetch.objects.filter(Q(state=State.WAITING) | silent, pk=fetch.pk)
    claimed = bool(free.update(state=State.WORKING, beat_at=now))
    fetch.refresh_from_db()
    return claimed


def _end(fetch: Fetch, state: Fetch.State, error: str = "") -> None:
    row = Fetch.objects.filter(pk=fetch.pk, state=State.WORKING, asked_at=fetch.asked_at)
    if not row.update(state=state, error=error, ended_at=timezone.now()):
        return
    fetch.refresh_from_db()
    said = {State.DONE: f"Step {fetch.step}: in {fetch.target}."}.get(state, error)
    lifecycle.record(fetch.job, f"checkpoint {KINDS[state]}", who=fetch.who, message=said)
    lifecycle.touch(fetch.job)


KINDS = {State.DONE: "fetched", State.FAILED: "not fetched", State.CANCELLED: "fetch cancelled"}


def _beating(fetch: Fetch) -> AbstractContextManager[None]:
    """While the block runs, the row shows that its process lives."""
    row = Fetch.objects.filter(pk=fetch.pk, state=State.WORKING, asked_at=fetch.asked_at)
    return beating(lambda: row.update(beat_at=timezone.now()), BEAT)
