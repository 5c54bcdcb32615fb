"""Whether each step of a chain was done once, whatever was killed."""

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING

from evaluations.chains.lost import MOST_LOST
from evaluations.chains.models import Chain, Part
from evaluations.chains.story import story_of
from evaluations.models import Evaluation
from jobs import events
from jobs.models import Job, Status
from tests.chaos.chains.ground import JOBS, PARTS, ROWS

if TYPE_CHECKING:
    from tests.chaos.chains.ordeal import ChainOrdeal

Done = tuple[int | None, datetime | None]


class Kept:
    """What was done before each kill, and which attempts were killed."""

    def __init__(self) -> None:
        self.done: dict[int, Done] = {}
        self.killed: set[tuple[int, int]] = set()
        self.failures: dict[datetime | None, tuple[str, int]] = {}

    def look(self, chain: Chain) -> None:
        """Note the parts that are done: from now on they stay as they are."""
        for part in chain.parts.exclude(done_at=None):
            self.done.setdefault(part.pk, done(part))

    def failed(self, chain: Chain) -> None:
        """Note why a chain has failed, and how often its jobs were lost before."""
        self.look(chain)
        lost = [part.job.events.filter(kind=Status.LOST).count() for part in chain.parts.all()
                if part.job]  # fmt: skip
        self.failures[chain.ended_at] = chain.reason, max(lost, default=0)

    def kill(self, jobs: Iterable[Job]) -> None:
        self.killed |= {(job.pk, job.attempt) for job in jobs}


def done(part: Part) -> Done:
    return part.asked, part.done_at


def told(chain: Chain) -> str:
    steps = [f"{now.step.name} {now.state} {now.why}".strip() for now in story_of(chain)]
    return f"{chain.state}, {'; '.join(steps)}"


def faults(chain: Chain, ordeal: "ChainOrdeal") -> Iterator[str]:
    """Every way in which it is not one job a step, each of which completed once."""
    parts, here = list(chain.parts.select_related("job__machine")), f"chain {chain.pk}"
    if chain.state != Chain.State.COMPLETED:
        yield f"{here} is {told(chain)}"
    if (count := Counter(part.step for part in parts)) != PARTS:
        yield f"{here} has the parts {dict(count)}"
    jobs = {part.job.pk: part for part in parts if part.job}
    if Counter(part.step for part in jobs.values()) != JOBS:
        yield f"{here} has the jobs {jobs}"
    if Job.objects.exclude(pk__in=Part.objects.exclude(job=None).values("job")).exists():
        yield f"{here} has made jobs that it does not know"
    for part in parts:
        yield from (f"{here}, {part}: {each}" for each in part_faults(part, ordeal))


def part_faults(part: Part, ordeal: "ChainOrdeal") -> Iterator[str]:
    if ordeal.kept.done.get(part.pk, done(part)) != done(part):
        yield "it was done, and was done again"
    if part.attempt != 1:
        yield f"its job was made {part.attempt} times"
    if part.job:
        yield from (f"job {part.job.pk}: {each}" for each in job_faults(part, part.job, ordeal))


def needless(kept: Kept) -> Iterator[str]:
    """Failures of chains that a loss of a machine has made."""
    for reason, lost in kept.failures.values():
        if "was lost" in reason and lost <= MOST_LOST:
            yield f"it failed, and should have gone on by itself: {reason}"


def job_faults(part: Part, job: Job, ordeal: "ChainOrdeal") -> Iterator[str]:
    started = ordeal.ground.started()
    if job.status != Status.COMPLETED:
        yield f"it is {job.status}: {job.reason}"
    ends = Counter(job.events.filter(kind=Status.COMPLETED).values_list("attempt", flat=True))
    if ends != {job.attempt: 1}:
        yield f"it completed {dict(ends)}"
    for attempt in range(1, job.attempt + 1):
        yield from attempt_faults(
            job, attempt, started[str(job.uuid), f"attempt-{attempt}"], ordeal
        )
    made = job.artifacts.count()
    if made != 1:
        yield f"{made} artifacts are kept of what it made"
    if part.step == "loss":
        found = list(Evaluation.objects.filter(job=job).values_list("prompts", "fault"))
        if found != [(ROWS, "")]:
            yield f"of its evaluation there is kept {found}"


def attempt_faults(job: Job, attempt: int, starts: int, ordeal: "ChainOrdeal") -> Iterator[str]:
    """Its program started once; not where its start was cut off, and perhaps not where the machine
    was killed."""
    was_killed = (job.pk, attempt) in ordeal.kept.killed
    was_cut = job.events.filter(kind=events.CUT_OFF, attempt=attempt).exists()
    if starts > 1 or (not starts and not was_killed and not was_cut):
        yield f"the program of attempt {attempt} started {starts} times"
    if attempt < job.attempt and not was_killed and not was_cut:
        said = job.events.filter(attempt=attempt).values_list("kind", "message")
        yield f"attempt {attempt} ended, and nobody had killed it: {list(said)}"
