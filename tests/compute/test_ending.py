"""What still ends before a rental does: by estimate, or not known, and never guessed."""

import json
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from compute.ending import Ending, endings_of
from compute.machines.users import Planned, Span
from compute.models import Machine
from jobs.fit.badge import fit_of
from jobs.models import Job, Status
from tests import factories
from tests.compute.test_glance import gpu, measure
from tests.pages import queries

STEP = Span(8, 10, 15)


def planned(steps: int | None = 100, step: Span | None = STEP, why: str = "") -> Planned:
    return Planned(1, "mine", "/jobs/1/", "queued", steps, step, why)


@pytest.mark.parametrize(
    ("left", "ends", "steps"),
    [
        (1500, True, (100, 100, 100)),
        (1499, None, (99, 100, 100)),
        (800, None, (53, 80, 100)),
        (799, False, (53, 79, 99)),
        (3, False, (0, 0, 0)),
    ],
)
def test_the_band_of_the_estimate_beside_the_time_left(
    left: float, ends: bool | None, steps: tuple[int, int, int]
) -> None:
    found = Ending(planned(), left)
    assert (found.ends_before, found.steps) == (ends, steps)


def test_what_is_not_known_is_said() -> None:
    without_steps, without_time = Ending(planned(None), 100), Ending(planned(step=None), 100)
    assert (without_steps.words, without_steps.steps) == ("not known", (6, 10, 12))
    assert (without_time.words, without_time.steps) == ("not known", None)


@pytest.fixture
def box(db: None) -> Machine:
    machine = factories.make_ssh_machine(name="box")
    measure(machine, *(gpu(index) for index in range(8)))
    return machine


def rented(box: Machine, **left: float) -> None:
    box.rental_ends_at = timezone.now() + timedelta(**left)
    box.save()


def job(box: Machine, owner: User, **fields: Any) -> Job:
    spec = factories.sft_spec(
        model_path=fields.pop("model_path", "qwen2.5-7b"), gpus=8,
        device=fields.pop("device", "cuda"), micro_batch_size=1,
    )  # fmt: skip
    given = {"machine": box, "gpus": 8, "spec": spec.to_json(), "steps": 100}
    return factories.make_job(owner, **given | fields)


def told(box: Machine) -> dict[int, dict[str, Any]]:
    out = StringIO()
    call_command("machine", "gpus", "box", "--json", stdout=out)
    return {one["job"]: one for one in json.loads(out.getvalue())["before_rental_ends"]}


def test_what_waits_and_drafts_by_their_estimates(box: Machine, user: User) -> None:
    draft = job(box, user)
    fit = fit_of(draft.spec_of_kind, box)
    assert fit.ledger
    time = fit.ledger.estimate.time
    assert time
    rented(box, seconds=50 * time.seconds)
    waiting = job(box, user, status=Status.QUEUED, queued_at=timezone.now(), steps=10)
    job(box, user, status=Status.RUNNING)
    job(box, user, status=Status.COMPLETED)

    found = told(box)

    assert list(found) == [waiting.pk, draft.pk]
    assert found[waiting.pk]["ends_before_rental"] is True
    assert (found[waiting.pk]["steps"], found[waiting.pk]["steps_in_time_left"]) == (10, 10)
    assert found[draft.pk]["ends_before_rental"] is False
    assert 48 <= found[draft.pk]["steps_in_time_left"] <= 50
    assert found[draft.pk]["seconds"] == pytest.approx(100 * time.seconds)
    low, high = (factor * 100 * time.seconds for factor in time.band)
    assert found[draft.pk]["seconds_band"] == pytest.approx([low, high])


def test_a_job_goes_on_from_its_newest_checkpoint(box: Machine, user: User) -> None:
    """It crashed at step 60: what it did after the checkpoint is done again."""
    rented(box, hours=5)
    begun = job(box, user, status=Status.QUEUED, step=60, attempt=1)
    assert told(box)[begun.pk]["steps"] == 100
    factories.keep_checkpoints(begun, {25: 1000, 50: 1000, 60: 10}, latest=50)
    assert told(box)[begun.pk]["steps"] == 50
    Job.objects.filter(pk=begun.pk).update(resume_step=25)
    assert told(box)[begun.pk]["steps"] == 75


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"device": "cpu"}, "on the CPU"),
        ({"model_path": "nobody/has-this"}, "is not in this machine's Hugging Face cache"),
        ({"model_path": "llama-3.1-405b"}, "does not fit its GPUs"),
        ({"kind": "export", "spec": {}}, "no estimate of a job of the kind export"),
    ],
)
def test_without_an_estimate_it_is_not_known(
    box: Machine, user: User, fields: dict[str, Any], why: str
) -> None:
    rented(box, hours=5)
    draft = job(box, user, **fields)
    found = told(box)[draft.pk]
    assert (found["ends_before_rental"], found["seconds"], found["steps_in_time_left"]) == (
        None,
        None,
        None,
    )
    assert why in found["why"]


def test_a_machine_without_an_end_says_nothing(page: Client, box: Machine, user: User) -> None:
    job(box, user)
    assert told(box) == {}
    assert "Before the rental ends" not in page.get(box.get_absolute_url()).content.decode()
    rented(box, hours=-1)
    assert told(box) == {}


def test_the_page_and_people_read_it(page: Client, box: Machine, user: User, other: User) -> None:
    rented(box, hours=500)
    mine, theirs = job(box, user, name="mine"), job(box, other, name="theirs")
    content = " ".join(page.get(box.get_absolute_url()).content.decode().split())
    part = content[content.index('id="ending-title"') :].split("</section>")[0]
    for words in (mine.get_absolute_url(), "should end before it", "100 of 100", "stimate"):
        assert words in part
    assert theirs.get_absolute_url() not in part
    assert [one.job.id for one in endings_of(box, None)] == [theirs.pk, mine.pk]
    out = StringIO()
    call_command("machine", "gpus", "box", stdout=out)
    assert f"job {mine.pk} (mine), draft: should end before it, its steps take" in out.getvalue()
    assert "100 of 100 steps fit (100 to 100)." in out.getvalue()


def test_the_same_queries_for_one_job_and_many(page: Client, box: Machine, user: User) -> None:
    rented(box, hours=500)
    job(box, user)
    one = queries(page, box.get_absolute_url())
    for _ in range(3):
        job(box, user, status=Status.QUEUED)
        job(box, user)
    assert queries(page, box.get_absolute_url()) == one
