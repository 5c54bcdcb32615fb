"""A chain as its page and its command show it: each step with its parts, and what was used."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property

from evaluations.chains.models import Chain, Part
from evaluations.chains.parts import former_jobs, is_done, parts_of
from evaluations.steps.step import TRAIN, Step
from jobs.fit.lookups import Lookups
from jobs.fit.spent import cost_of
from jobs.models import Job, Status
from platform_site.counts import counted

WAITING, RUNNING, DONE, FAILED, STOPPED = "waiting", "running", "completed", "failed", "stopped"
BADGES: Mapping[str, str] = {WAITING: "queued"}  # as the badges of jobs call it
LABELS = {WAITING: "Waits", RUNNING: "Running", DONE: "Done", FAILED: "Failed", STOPPED: "Stopped"}


@dataclass(frozen=True)
class StepNow:
    """A step as it stands. ``why`` says for what it waits, or why it failed. ``former`` are the
    jobs of former attempts, which took their time and cost, too."""

    step: Step
    parts: Sequence[Part]
    state: str
    why: str
    lookups: Lookups
    former: Sequence[Job] = ()

    @property
    def label(self) -> str:
        return LABELS[self.state]

    @property
    def badge(self) -> str:
        return BADGES.get(self.state, self.state)

    @property
    def done(self) -> int:
        return sum(part.is_done for part in self.parts)

    @property
    def words(self) -> str:
        """What the step does, in a few words."""
        among = "among the checkpoints of " if self.step.wish and self.step.wish.checkpoints else ""
        of = self.step.of if self.step.verb == TRAIN else _of(self.step)
        return f"{self.step.verb} {among}{of}"

    @property
    def jobs(self) -> list[Job]:
        return [*self.former, *(part.job for part in self.parts if part.job is not None)]

    @property
    def elapsed(self) -> timedelta | None:
        """What its jobs took, together; None before one began."""
        spans = [span for job in self.jobs if (span := job.elapsed) is not None]
        return sum(spans, timedelta()) if spans else None

    @property
    def cost(self) -> float | None:
        """What its jobs on GPUs cost so far, as far as the prices are known; None without any."""
        known = [cost for cost in self.costs if cost is not None]
        return sum(known) if known else None

    @property
    def without_price(self) -> int:
        """How many of its jobs on GPUs have begun, and cost nobody knows how much."""
        began = [job for job in self.jobs if job.gpus and job.elapsed is not None]
        return len(began) - sum(cost is not None for cost in self.costs)

    @cached_property
    def costs(self) -> list[float | None]:
        return [cost_of(job, self.lookups) for job in self.jobs]


def story_of(chain: Chain) -> list[StepNow]:
    """The steps in their order."""
    parts, lookups = parts_of(chain), Lookups()
    former = former_jobs(parts)
    return [
        StepNow(
            step, parts.get(step.name, ()), *_state(step, chain, parts), lookups,
            former.get(step.name, ()),
        )
        for step in chain.recipe.steps
    ]  # fmt: skip


def _state(step: Step, chain: Chain, parts: Mapping[str, Sequence[Part]]) -> tuple[str, str]:
    """How a step stands, and why."""
    own = parts.get(step.name, ())
    failed = next((part.why_failed for part in own if part.why_failed), "")
    if failed:
        return FAILED, failed
    if is_done(step.name, parts):
        return DONE, ""
    if chain.is_running and any(part.asked or part.is_done for part in own):
        return RUNNING, _progress(own)
    if not chain.is_running:
        return STOPPED, "The chain ended before it."
    waits = [name for name in step.needs if not is_done(name, parts)]
    return WAITING, f"After {', '.join(waits)}." if waits else "Begins soon."


def _progress(parts: Sequence[Part]) -> str:
    open_jobs = [part.job for part in parts if part.job and not part.is_done]
    held = [job for job in open_jobs if job.is_held or job.status == Status.PAUSED]
    said = f"{sum(part.is_done for part in parts)} of {counted(len(parts), 'job')} done."
    if held:
        return f"{said} Job {held[0].pk} is {held[0].stands}: the chain waits for it."
    return said if len(parts) > 1 else ""


def _of(step: Step) -> str:
    return ", ".join(map(str, step.models))
