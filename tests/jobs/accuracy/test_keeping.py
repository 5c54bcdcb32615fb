"""What a finished run needed is kept beside what was estimated, and teaches the next estimate."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from compute.models import Machine
from compute.sizing import answer
from compute.sizing.written import read_question
from jobs import tasks
from jobs.accuracy import keeping
from jobs.fit import services
from jobs.launch import end
from jobs.models import Job, Outcome, Status
from jobs.verl.phases import PHASES
from tests import factories
from tests.jobs.accuracy.conftest import Finished

pytestmark = pytest.mark.django_db
GIB = 1 << 30
PEAK = "actor/perf/max_memory_allocated_gb"
TIMES = {"timing_s/gen": 30.0, "timing_s/update_actor": 12.0, "timing_s/step": 50.0}


def twice(job: Job) -> dict[str, float]:
    """Times twice as long as the formula says of a job."""
    told = services.estimate_of(job.spec_of_kind, job.machine).time
    assert told
    return {PHASES[phase]: 2 * seconds for phase, seconds in told.phases.items()}


def kept(job: Job) -> Outcome:
    found = keeping.keep(job)
    assert found
    return found


def test_what_a_run_needed_stands_beside_its_estimate(finished: Finished) -> None:
    job = finished(metrics={**TIMES, PEAK: 10.0, "timing_s/save_checkpoint": 5.0})

    found = kept(job)

    assert (found.gpu, found.gpus, found.family, found.algorithm) == (
        "fake-card", 8, "qwen2", "grpo",
    )  # fmt: skip
    assert found.measured_peak == 30 * GIB  # the highest, though it was in the first step
    assert found.measured_seconds == 50.0
    assert found.measured_phases == {
        answer.ROLLOUT: 30.0, answer.UPDATE: 12.0, answer.SAVE: 0.5,  # each tenth step saves
    }  # fmt: skip
    told = services.estimate_of(job.spec_of_kind, job.machine)  # learns from it by now
    assert found.learned_from == 0
    assert told.runs == 1
    assert found.estimated_peaks.keys() == {answer.UPDATE, answer.LOG_PROB}
    assert found.estimated_peak == max(found.estimated_peaks.values()) < told.memory.peak


def test_sft_is_timed_by_when_its_steps_were_written(
    finished: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.measured.pace", lambda job_id: 7.0)

    found = kept(finished("sft", {"perf/max_memory_allocated_gb": 20.0}))

    assert (found.measured_peak, found.measured_seconds) == (60 * GIB, 7.0)
    assert found.measured_phases == {}


def test_it_is_asked_again_with_the_lengths_that_were_measured(finished: Finished) -> None:
    lengths = {"prompt_length/mean": 200.0, "response_length/mean": 900.0}

    asked = read_question(kept(finished(metrics={**TIMES, **lengths})).question)

    assert (asked.lengths.prompt, asked.lengths.answer) == (200.0, 900.0)
    assert asked.lengths.source == "runs"


def test_a_run_on_the_cpu_is_no_outcome(user: User) -> None:
    job = factories.make_job(user, kind="grpo", spec=factories.grpo_spec().to_json(), step=3)
    for name, value in {**TIMES, PEAK: 0.5}.items():
        factories.add_points(job, name, {1: value, 2: value, 3: value})

    assert keeping.keep(job) is None
    assert not Outcome.objects.exists()


@pytest.mark.parametrize(
    "fields", [{"step": 1}, {"values": {"model_path": "/no/such/model"}}, {"values": {"gpus": 0}}]
)
def test_what_cannot_be_compared_is_no_outcome(finished: Finished, fields: dict[str, Any]) -> None:
    assert keeping.keep(finished(metrics=TIMES, **fields)) is None
    assert not Outcome.objects.exists()


def test_a_run_that_measured_nothing_is_no_outcome(finished: Finished) -> None:
    assert keeping.keep(finished(metrics={"actor/loss": 1.0})) is None


def test_where_cards_differ_nobody_knows_which_it_had(finished: Finished, box: Machine) -> None:
    cards = [{"index": 0, "name": "Fake card of a test"}, {"index": 1, "name": "NVIDIA L4"}]
    box.samples.create(at=timezone.now(), data={"gpus": cards})

    assert keeping.keep(finished(metrics=TIMES)) is None


def test_a_card_that_nobody_knows_is_no_outcome(finished: Finished, box: Machine) -> None:
    box.samples.create(at=timezone.now(), data={"gpus": [{"index": 0, "name": "Voodoo 2"}]})

    assert keeping.keep(finished(metrics=TIMES)) is None


def test_a_run_that_goes_on_is_kept_once_and_does_not_teach_itself(finished: Finished) -> None:
    job = finished(metrics=TIMES)
    first = kept(job)
    factories.add_points(job, "timing_s/gen", {4: 60.0, 5: 60.0, 6: 60.0})

    again = kept(job)

    assert again.pk == first.pk
    assert again.measured_phases[answer.ROLLOUT] == 60.0
    assert again.learned_from == 0
    assert again.estimated_phases == first.estimated_phases


def test_it_goes_with_its_job(finished: Finished) -> None:
    job = finished(metrics=TIMES)
    keeping.keep(job)

    job.delete()

    assert not Outcome.objects.exists()


def test_the_next_run_is_estimated_by_what_the_last_one_measured(finished: Finished) -> None:
    times = twice(finished())
    first = kept(finished(metrics=times))

    told = kept(finished(metrics=times))

    assert told.learned_from == 1
    for phase in (answer.UPDATE, answer.ROLLOUT, answer.LOG_PROB, answer.SYNC):
        ratio = told.estimated_phases[phase] / first.estimated_phases[phase]
        assert 1.8 < ratio < 2.0, phase


def test_another_card_or_family_teaches_nothing(finished: Finished) -> None:
    times = twice(finished())
    kept(finished(metrics=times))
    Outcome.objects.update(gpu="l4")
    assert kept(finished(metrics=times)).learned_from == 0
    Outcome.objects.update(gpu="fake-card", family="llama")
    assert kept(finished(metrics=times)).learned_from == 0


def test_what_an_old_version_wrote_teaches_nothing_and_breaks_nothing(finished: Finished) -> None:
    times = twice(finished())
    old = kept(finished(metrics=times))
    old.question = {"gpus": "many"}
    old.save()

    assert kept(finished(metrics=times)).learned_from == 0


@pytest.mark.parametrize("status", [Status.COMPLETED, Status.PAUSED, Status.STOPPED])
def test_the_end_of_a_run_on_gpus_asks_for_it(
    finished: Finished,
    status: Status,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[tuple[str, int]] = []
    monkeypatch.setattr(end, "later", lambda task, pk: asked.append((task, pk)))
    job = finished(metrics=TIMES, status=Status.RUNNING)

    end.finish_as(job, status, "It is over.")
    end.finish_as(job, status, "Somebody else was first.")

    assert asked == [("jobs.tasks.keep_outcome", job.pk)]
    tasks.keep_outcome(job.pk)
    assert job.outcome.measured_seconds == 50.0


@pytest.mark.parametrize(
    ("gpus", "status"), [(0, Status.COMPLETED), (8, Status.FAILED), (8, Status.LOST)]
)
def test_neither_a_run_on_the_cpu_nor_a_crash_asks_for_it(
    finished: Finished, gpus: int, status: Status, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(end, "later", lambda task, pk: pytest.fail(task))
    end.finish_as(finished(status=Status.RUNNING, gpus=gpus), status, "It is over.")
