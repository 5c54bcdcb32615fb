"""The words of the question whether to stop a job: what stops, and what is kept."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from jobs.artifacts.story import known_of
from jobs.models import Job, Status

KEPT = "The log and the figures stay."
NO_MORE = "There is nothing to stop."


@dataclass(frozen=True)
class Question:
    """``stop`` and ``leave`` stand on the two buttons."""

    title: str
    stop: str
    leave: str
    sentences: tuple[str, ...]


def question_of(job: Job) -> Question:
    """The question for the state that the job is in."""
    stop, leave, sentences = WORDS[state_of(job)]
    title = f"Stop {job.name}?" if job.can_stop else f"{job.name} is not stopped"
    return Question(title, stop, leave, tuple(sentences(job)))


def state_of(job: Job) -> str:
    if job.is_active and job.stop_asked_at:
        return "stopping"
    if job.is_active and job.pause_asked_at:
        return "pausing"
    if job.retry_at is not None:
        return "retry"
    return job.status if job.status in WORDS else "ended"


def _queued(job: Job) -> Iterator[str]:
    if job.attempt > 1:
        yield "It waits in the queue to go on, and is taken out. It can be resumed later."
        yield f"{_checkpoints(job)} {KEPT}"
        return
    yield "It waits in the queue, and is taken out. Nothing of it has run."
    yield "It cannot be started again. Its settings are kept: a clone starts with them."


def _starting(job: Job) -> Iterator[str]:
    yield (
        "It is being made ready. If its process has started, that is asked to end, and made to "
        "when it does not."
    )
    yield _checkpoints(job) if job.attempt > 1 else "Nothing is trained yet, so nothing is lost."


def _running(job: Job) -> Iterator[str]:
    yield "The run is asked to end, and made to when it does not. It does not save first."
    yield from _lost(job)
    if job.can_pause:
        yield "With 'Save, then stop' it saves after its current step, and nothing is lost."
    elif job.cannot_save:
        yield job.cannot_save


def _pausing(job: Job) -> Iterator[str]:
    then = "ends" if job.then_stop else "pauses"
    yield f"It was asked to save after its current step, and {then} by itself then."
    yield "Stopped now, it is made to end without that save."
    yield from _lost(job)


def _paused(job: Job) -> Iterator[str]:
    yield "It is paused: nothing of it runs. Stopped, it only counts as over, and can be resumed."
    yield f"{_checkpoints(job)} {KEPT}"


def _stopping(job: Job) -> Iterator[str]:
    yield "It was asked to stop already, and its process is about to end."
    yield f"{_checkpoints(job)} {KEPT}"


def _retry(job: Job) -> Iterator[str]:
    yield (
        f"It is {job.stands} and would go on by itself. Stopped, it does not; it can be resumed."
    )
    yield f"{_checkpoints(job)} {KEPT}"


def _draft(job: Job) -> Iterator[str]:
    yield f"It is a draft and has not started. {NO_MORE}"


def _ended(job: Job) -> Iterator[str]:
    yield f"It is {job.stands}. {NO_MORE}"


def _lost(job: Job) -> Iterator[str]:
    newest = _newest(job)
    if newest is None:
        yield f"It has no whole checkpoint yet: all that it learnt is lost. {KEPT}"
        return
    yield f"What it learnt after the checkpoint of step {newest} is lost. {KEPT}"


def _checkpoints(job: Job) -> str:
    newest = _newest(job)
    if newest is None:
        return "It has no whole checkpoint."
    return f"Its checkpoints stay, the newest of step {newest}."


def _newest(job: Job) -> int | None:
    whole = (saved.step for saved in known_of(job) if saved.artifact.is_whole)
    return next(whole, None)


Sentences = Callable[[Job], Iterator[str]]
WORDS: dict[str, tuple[str, str, Sentences]] = {
    Status.DRAFT: ("Stop", "Back", _draft),
    Status.QUEUED: ("Take it out of the queue", "Let it wait", _queued),
    Status.STARTING: ("Stop the start", "Let it start", _starting),
    Status.RUNNING: ("Stop the run", "Keep running", _running),
    "pausing": ("Stop without saving", "Let it save", _pausing),
    Status.PAUSED: ("End it", "Leave it paused", _paused),
    "stopping": ("Stop", "Back", _stopping),
    "retry": ("Do not try again", "Let it go on", _retry),
    "ended": ("Stop", "Back", _ended),
}
