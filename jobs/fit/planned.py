"""How long jobs that wait, and drafts, should take on their machine."""

from collections.abc import Iterable

from compute.machines.users import Planned, Span
from jobs.artifacts.refusals import newest_step
from jobs.fit.badge import Fit, fit_of
from jobs.fit.lookups import Lookups
from jobs.models import Job
from jobs.verl.spec import TrainSpec

FULL = "By the estimate it does not fit its GPUs."


def planned(jobs: Iterable[Job]) -> list[Planned]:
    jobs = list(jobs)
    specs = [spec for job in jobs if isinstance(spec := job.spec_of_kind, TrainSpec)]
    lookups = Lookups(specs=specs)
    return [_planned(job, _fit(job, lookups)) for job in jobs]


def _fit(job: Job, lookups: Lookups) -> Fit:
    spec = job.spec_of_kind
    if not isinstance(spec, TrainSpec):
        return Fit(None, f"There is no estimate of a job of the kind {job.kind}.")
    return fit_of(spec, job.machine, lookups)


def _done(job: Job) -> int:
    """The step that it will go on from: what came after it is done again."""
    if job.resume_step is not None:
        return job.resume_step
    return newest_step(job) if job.step else 0


def _planned(job: Job, fit: Fit) -> Planned:
    step, why = None, fit.why
    if fit.ledger and fit.ledger.estimate.fits is False:
        why = FULL
    elif fit.ledger and (time := fit.ledger.estimate.time):
        low, high = time.band
        step = Span(low * time.seconds, time.seconds, high * time.seconds)
        why = "" if job.steps else "How many steps it does is not known before it starts."
    return Planned(
        id=job.pk,
        name=job.name,
        url=job.get_absolute_url(),
        stands=job.stands_label.lower(),
        steps=max(0, job.steps - _done(job)) if job.steps else None,
        step=step,
        why=why,
    )
