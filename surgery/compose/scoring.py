"""Score the models of a sweep by the validation loss that verl's own trainer computes, each by a
job of its own."""

import uuid as uuids
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction

from jobs import measured
from jobs.launch.submit import Order, submit
from jobs.models import Artifact, Job, Place, Status
from jobs.verl.spec import TrainSpec
from surgery.compose.models import Sweep, Swept
from surgery.kinds.judged import FIXED, METRIC, STEP
from surgery.making import judging
from surgery.making.checks import SurgeryError


def judges(sweep: Sweep, user: User) -> list[Job]:
    """The runs of SFT by whose data and settings the models can be scored, newest first."""
    runs = judging.runs_of(user).filter(machine__in=sweep.merges.values("job__machine"))
    scores = Swept.objects.exclude(score=None).values("score")
    return judging.fit(runs.exclude(pk__in=scores))


def score(sweep: Sweep, run: Job, owner: User) -> list[Job]:
    """Queue a job for each model that is there and has no score by this run, nor one under way.

    Scores by another run's data or settings are left behind: they cannot be compared with these.
    Raises ``NotSubmitted`` where there is none to queue, or one cannot be.
    """
    made = list[Job]()
    with transaction.atomic():
        Sweep.objects.select_for_update().get(pk=sweep.pk)
        rows = sweep.merges.select_related("job__machine", "score")
        models, values = models_of([row.job_id for row in rows]), losses(rows)
        for row in rows:
            place = _place(models.get(row.job_id), run)
            if place is not None and _wants(row, run, values):
                made.append(submit(_order(row, place.path, run, owner), start=True))
                row.score = made[-1]
            elif row.score and not _is_by(row.score, run):
                row.score = None
            row.save(update_fields=["score"])
        if not made:
            raise SurgeryError(
                "There is no model on the machine of this run that has no score by it yet."
            )
    return made


def _wants(row: Swept, run: Job, values: Mapping[int, float]) -> bool:
    """Also where its score is over without a value: one that completed may have logged none."""
    if row.score is None or not _is_by(row.score, run):
        return True
    is_measured = row.score.status == Status.COMPLETED and row.score.pk in values
    return row.score.is_over and not is_measured


def _is_by(score: Job, run: Job) -> bool:
    """Whether a score was measured by the data and settings of a run."""
    return _settings(score) == _settings(run)


def _settings(job: Job) -> Mapping[str, Any]:
    values = {**job.spec.get("values", {}), **FIXED}
    return {name: value for name, value in values.items() if name != job.job_kind.base_model}


def models_of(jobs: Sequence[int]) -> dict[int, Artifact]:
    """The whole models that these jobs made, by the job."""
    made = Artifact.objects.with_state().filter(job__in=jobs, kind=Artifact.Kind.HUGGINGFACE)
    return {artifact.job_id or 0: artifact for artifact in made.order_by("pk")}


def _place(model: Artifact | None, run: Job) -> Place | None:
    """Where a whole model lies on the machine of the run."""
    if model is None or not model.is_whole:
        return None
    return model.places.there().filter(machine=run.machine_id).first()


def _order(row: Swept, path: str, run: Job, owner: User) -> Order:
    spec: TrainSpec = run.spec_of_kind
    values = {**spec.values, **FIXED, run.job_kind.base_model: path}
    return Order(
        owner=owner, name=f"Score of {row.job.name}"[:200], recipe=run.recipe,
        spec=replace(spec, values=values), steps=STEP, machine=run.machine, uuid=uuids.uuid4(),
        dataset_version=run.dataset_version,
    )  # fmt: skip


def losses(rows: Iterable[Swept]) -> dict[int, float]:
    """The scores, by the job that each was measured by."""
    jobs = {row.score_id: {STEP} for row in rows if row.score_id}
    found = measured.at_steps(jobs, {METRIC})
    return {
        job: steps[STEP][METRIC] for job, steps in found.items() if METRIC in steps.get(STEP, {})
    }
