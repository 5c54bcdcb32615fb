"""Bringing a checkpoint of a far run to this machine, by a process that keeps its progress."""

from pathlib import Path

from django.db import transaction

from compute.machines.local import local_machine
from compute.machines.reachability import mark_unreachable
from compute.machines.runners import runner_for
from compute.models import Machine
from compute.runners import fetching
from compute.runners.base import Gone, NeverPossible, RunnerError, Told, Unreachable
from jobs import events, lifecycle
from jobs.artifacts.keeping import artifact_at, keep_place, note_gone
from jobs.artifacts.story import known_of
from jobs.files.parents import fetched_folder
from jobs.models import Fetch, Job
from platform_site.work import doing, verbs
from platform_site.work.doing import Cancelled, WorkFailed
from platform_site.work.models import State

AGAIN = " Ask again: what came is kept and gone on with."


class FetchError(Exception):
    """It cannot be done. The message is a sentence for the user."""


def ask(job: Job, step: int, *, who: str) -> Fetch:
    """Have a checkpoint brought here by a process of its own; who asks second finds the first's.

    Raises ``FetchError``.
    """
    with transaction.atomic():
        fetch, is_new = _wanted(job, step, fetched_folder(job), who)
        if is_new:
            verbs.ask(fetch)
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
        raise FetchError(f"{fetch} is on its way already: {fetch.percent or 0:.0f} %.")
    work_off(fetch, told)
    if not fetch.is_done:
        raise FetchError(fetch.error)
    return fetch


def _brought(job: Job, step: int, into: Path) -> bool:
    target = str(into / f"global_step_{step}")
    return Fetch.objects.filter(job=job, step=step, state=State.DONE, target=target).exists()


def _wanted(job: Job, step: int, into: Path, who: str) -> tuple[Fetch, bool]:
    """The row of a checkpoint, and whether it is to be worked for from now on."""
    target = str(into / f"global_step_{step}")
    with transaction.atomic():
        # Held as by whoever deletes: it is not brought while it goes.
        Machine.objects.select_for_update().get(pk=job.machine_id)
        fields = {"source": _source(job, step), "target": target, "who": who}
        fetch, made = Fetch.objects.get_or_create(job=job, step=step, defaults=fields)
        is_there = fetch.is_here and fetch.target == target
        if not made and (is_there or not verbs.renew(fetch, **fields)):
            return fetch, False
        lifecycle.record(job, events.FETCH_ASKED, who=who, message=f"Step {step}: to {target}.")
        lifecycle.touch(job)
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


def work_off(fetch: Fetch, told: Told = lambda done, total: None) -> bool:
    """Bring what waits to be brought; false when somebody else does, or nobody asked for it."""
    progress = doing.Progress(fetch)

    def keep(done: int, total: int) -> None:
        progress(done, total)
        told(done, total)

    return doing.do(fetch, lambda fetch: _bring(fetch, keep), _tell_end)


def _bring(fetch: Fetch, told: Told) -> dict[str, int]:
    machine = fetch.job.machine
    try:
        _copy(fetch, told)
    except Cancelled:
        raise Cancelled(
            "It was cancelled. What came is kept, and gone on with when it is asked again."
        ) from None
    except RunnerError as error:
        if isinstance(error, Unreachable):
            mark_unreachable(machine, error)
        again = "" if isinstance(error, NeverPossible) else AGAIN
        raise WorkFailed(f"{error}{again}") from None
    return {}


def _copy(fetch: Fetch, told: Told) -> None:
    machine = fetch.job.machine
    artifact = artifact_at(fetch.source, {machine.pk: machine})
    try:
        fetching.fetch(runner_for(machine), fetch.source, Path(fetch.target), told)
    except Gone:
        note_gone(machine, fetch.source)
        raise
    if artifact:
        keep_place(artifact, local_machine(), fetch.target)


def _tell_end(fetch: Fetch) -> None:
    said = f"Step {fetch.step}: in {fetch.target}." if fetch.is_done else fetch.error
    lifecycle.record(fetch.job, ENDED[State(fetch.state)], who=fetch.who, message=said)
    lifecycle.touch(fetch.job)


ENDED = {
    State.DONE: events.FETCHED,
    State.FAILED: events.NOT_FETCHED,
    State.CANCELLED: events.FETCH_CANCELLED,
}


def cancel(job: Job, step: int, *, who: str) -> bool:
    """Let what is on its way end; false when nothing is."""
    fetch = Fetch.objects.filter(job=job, step=step).first()
    if fetch is None:
        return False
    with transaction.atomic():
        done = verbs.cancel(fetch)
        if done:
            lifecycle.record(job, events.FETCH_NOT_WANTED, who=who, message=f"Step {step}.")
            lifecycle.touch(job)
    return done
