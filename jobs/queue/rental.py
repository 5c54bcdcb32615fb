"""What a job can still do before the rental of its machine ends."""

from collections.abc import Iterable
from datetime import timedelta

from django.utils import timezone

from compute.models import Machine, when
from jobs.measured import longest_saves
from jobs.models import Job
from jobs.verl.limit import rental_margin
from platform_site.counts import counted

LOOKED_AT = 20  # jobs among which one of the same settings is looked for


def left_of(machine: Machine) -> timedelta | None:
    """The time until the rental ends, negative after it; None while there is no end."""
    return machine.rental_ends_at - timezone.now() if machine.rental_ends_at else None


def too_short(machine: Machine, jobs: Iterable[Job]) -> dict[int, str]:
    """By id, why a waiting job cannot start any more: its own saves take too long for what is left.

    For a job that never saved, the machine itself says when it is too late.
    """
    left = left_of(machine)
    tried = [job.pk for job in jobs if job.attempt > 1] if left is not None else []
    if left is None or not tried:
        return {}
    return {
        pk: f"The rental of {machine} ends at {when(machine.rental_ends_at)}: too soon to save a "
        f"checkpoint, which took {longest:.0f} s."
        for pk, longest in longest_saves(tried).items()
        if rental_margin(None, longest).seconds > left.total_seconds()
    }


def warning(job: Job) -> str:
    """What to tell whoever submits a job; empty when there is nothing to tell."""
    return warning_for(job.machine, job.steps or 0, pace_of(job), job.cannot_save)


def warning_to_resume(job: Job, step: int | None) -> str:
    """The same before a job goes on, by the pace of the attempt that ended."""
    begun = job.step if step is None else step
    pace = (job.seconds_per_step, "its last attempt") if job.seconds_per_step else None
    steps = max(0, (job.steps or 0) - begun)
    return warning_for(job.machine, steps, pace, job.cannot_save)


Pace = tuple[float, str]  # seconds a step, and whose they were


def pace_of(job: Job) -> Pace | None:
    """The measured pace of a job with the same settings on the same machine, if there is one."""
    if job.machine.rental_ends_at is None:
        return None
    alike = Job.objects.filter(machine=job.machine, owner=job.owner_id, kind=job.kind)
    measured = alike.filter(anchor_at__isnull=False).exclude(uuid=job.uuid).order_by("-pk")
    for other in measured[:LOOKED_AT]:
        if other.spec == job.spec and other.seconds_per_step:
            return other.seconds_per_step, f"job {other.pk}, with the same settings,"
    return None


def warning_for(machine: Machine, steps: int, pace: Pace | None, cannot_save: str) -> str:
    left = left_of(machine)
    if left is None:
        return ""
    if machine.rental_closes:
        return f"{machine.rental_closes} It waits until the rental is extended."
    words = []
    if pace and steps * pace[0] > left.total_seconds():
        takes = f"take{'s' if steps == 1 else ''}"
        words.append(
            f"{counted(steps, 'step')} {takes} about "
            f"{in_words(timedelta(seconds=steps * pace[0]))} by the "
            f"{pace[0]:.3g} s a step that {pace[1]} took, and the rental of {machine} ends in "
            f"{in_words(left)}."
        )
        if not cannot_save:
            words.append("It saves and pauses before that.")
    if cannot_save:
        words.append(
            f"The rental of {machine} ends at {when(machine.rental_ends_at)}, and this run cannot "
            f"save before it: {cannot_save}"
        )
    return " ".join(words)


def in_words(span: timedelta) -> str:
    minutes = max(1, round(span.total_seconds() / 60))
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} m" if hours else f"{minutes} m"
