"""A training job on a card that no shop sells, and its dry-fire with figures that nobody measured:
their names say so."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from compute.models import Machine
from jobs.dryfire import services
from jobs.kinds.dryfire import PARTS
from jobs.launch import end
from jobs.models import Job, Status
from jobs.verl.spec import TrainSpec
from tests import factories
from tests.jobs.accuracy.conftest import GRPO, SFT, box, fake_card, model

__all__ = ["box", "fake_card", "model"]  # fixtures
GIB = 1 << 30
LIMIT = 79 * GIB
Make = Callable[..., Job]


@pytest.fixture
def job_on_fakes(user: User, box: Machine, model: str) -> Make:
    """A draft on the fake cards."""
    box.python = "/venv/bin/python"
    box.save()

    def make(kind: str = "grpo", *overrides: str, **values: Any) -> Job:
        spec = TrainSpec(
            kind, {**(SFT if kind == "sft" else GRPO), "model_path": model, **values}, overrides
        )
        return factories.make_job(
            user, name="sums", kind=kind, spec=spec.to_json(), machine=box, gpus=8,
            recipe=kind,
        )  # fmt: skip

    return make


def dry_fired(
    job: Job,
    fake_peaks: Mapping[str, int | None],
    failed: str = "",
    *,
    ran_out: bool = True,
    **more: Any,
) -> Job:
    """A dry-fire of the job that has ended, with peaks of its phases that nobody measured. Of the
    phase that ``failed``, memory ran out."""
    run = services.dry_fire(job, job.owner)
    Job.objects.filter(pk=run.pk).update(status=Status.RUNNING)
    run.refresh_from_db()
    states = {"training": "failed"} if failed else {}
    parts = [{"name": n, "state": states.get(n, "passed"), "said": "Good."} for n in PARTS]
    phases = [
        {
            "phase": name, "card": peak, "allocated": peak, "seconds": 1.5,
            "failed": name == failed, "ran_out": name == failed and ran_out,
        }
        for name, peak in fake_peaks.items()
    ]  # fmt: skip
    data = {"parts": parts, "phases": phases, "limit": LIMIT, "longest": 512, **more}
    run.events.create(kind="dry_fired", source="run", attempt=1, at=timezone.now(), data=data)
    end.finish(run, 1 if failed else 0)
    return run
