"""A chain begins the steps that are due, and none twice."""

from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from compute.machines.verbs import remove
from evaluations.chains import advancing, services
from evaluations.chains.lost import MOST_LOST
from evaluations.chains.models import Chain
from evaluations.models import Evaluation
from jobs import lifecycle, resuming
from jobs.models import Job, Status
from tests import factories, taskqueue
from tests.evaluations.chains.runs import TWO, ended, job_of, moved, part, started, states
from tests.evaluations.gates.test_gates import found

pytestmark = [
    pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("queue", "samples"),
]  # fmt: skip


def test_a_step_begins_when_those_before_it_are_done(user: User, home: Path) -> None:
    chain = started(TWO, user)
    assert states(chain) == {"sft": "running", "grpo": "waiting"}
    first = job_of(chain, "sft")
    assert (first.kind, first.status, first.name) == ("sft", Status.QUEUED, "Two: sft")
    assert not moved(chain).parts.filter(step="grpo").exists()
    ended(first)
    assert states(moved(chain)) == {"sft": "completed", "grpo": "running"}
    second = job_of(chain, "grpo")
    assert second.after == first
    assert second.trains_on
    ended(second)
    assert moved(chain).state == Chain.State.COMPLETED
    assert chain.reason == "All 2 steps are done."
    assert part(chain, "grpo").path.startswith(second.run_dir)


def test_moving_it_on_again_makes_nothing_twice(user: User) -> None:
    chain = started(TWO, user)
    for _ in range(3):
        moved(chain)
    assert Job.objects.count() == 1
    # Whoever was killed after the job was made, and before its part knew of it.
    chain.parts.update(job=None, asked=None)
    moved(chain)
    assert Job.objects.count() == 1
    assert job_of(chain, "sft") == Job.objects.get()


def test_a_job_that_fails_ends_it_and_resume_makes_it_go_on(user: User) -> None:
    chain = started(TWO, user)
    first = job_of(chain, "sft")
    ended(first, Status.FAILED)
    assert moved(chain).state == Chain.State.FAILED
    assert chain.reason == f"Step sft: job {first.pk} failed: It broke."
    assert states(chain) == {"sft": "failed", "grpo": "stopped"}
    assert services.resume(chain, who="ada")
    assert moved(chain).is_running
    assert Job.objects.count() == 2  # it had never begun, so it could not be resumed
    assert job_of(chain, "sft") != first
    ended(job_of(chain, "sft"))
    assert states(moved(chain)) == {"sft": "completed", "grpo": "running"}


def lost(chain: Chain, **fields: object) -> Job:
    """The first job of a chain, whose machine went away while it ran."""
    job = job_of(chain, "sft")
    Job.objects.filter(pk=job.pk).update(started_at=timezone.now(), **fields)
    return ended(job, Status.LOST)


def test_a_job_that_was_lost_with_its_machine_goes_on_by_itself(user: User) -> None:
    chain = started(TWO, user)
    for attempt in range(2, 2 + MOST_LOST):
        job = lost(chain)
        assert moved(chain).is_running
        job.refresh_from_db()
        assert (job.status, job.attempt) == (Status.QUEUED, attempt)
        assert Job.objects.count() == 1
    # It may be the job that takes its machine down.
    job = lost(chain)
    assert moved(chain).state == Chain.State.FAILED
    assert chain.reason == f"Step sft: job {job.pk} was lost: It broke."
    assert services.resume(chain, who="ada")
    job.refresh_from_db()
    assert (job.status, job.attempt) == (Status.QUEUED, 2 + MOST_LOST)


@pytest.mark.parametrize(
    "fields",
    [{"stop_asked_at": timezone.now()}, {"retries": 2, "retried": 2}],
    ids=["stopped", "tried again"],
)
def test_a_lost_job_whose_end_was_wanted_or_that_has_used_up_its_retries_ends_it(
    user: User, fields: dict[str, object]
) -> None:
    chain = started(TWO, user)
    lost(chain, **fields)
    assert moved(chain).state == Chain.State.FAILED


def test_a_lost_job_goes_on_while_another_of_its_chain_waits(user: User) -> None:
    chain = started(TWO.replace("sample-sft}", "sample-sft, over: {lr: [1e-4, 1e-5]}}"), user)
    advancing.kick_due()
    job = lost(chain)
    taskqueue.clear()
    advancing.kick_due()
    taskqueue.work()
    job.refresh_from_db()
    assert (job.status, job.attempt) == (Status.QUEUED, 2)


def test_a_lost_job_does_not_go_on_once_its_chain_was_stopped(
    user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain = started(TWO, user)
    job = lost(chain)
    go_on = resuming.resume

    def stopped_first(*args: Any, **more: Any) -> bool:
        services.stop(chain, who="ada")
        return go_on(*args, **more)

    monkeypatch.setattr(resuming, "resume", stopped_first)
    assert moved(chain).state == Chain.State.STOPPED
    job.refresh_from_db()
    assert (job.status, job.attempt) == (Status.STOPPED, 2)


def test_a_job_that_is_deleted_is_said_and_made_anew(user: User) -> None:
    chain = started(TWO, user)
    first = job_of(chain, "sft")
    number = first.pk
    first.delete()
    assert moved(chain).reason == f"Step sft: job {number} was deleted."
    services.resume(chain, who="ada")
    moved(chain)
    ended(job_of(chain, "sft"))
    moved(chain)
    assert states(chain) == {"sft": "completed", "grpo": "running"}


def test_stop_stops_its_jobs(user: User) -> None:
    chain = started(TWO, user)
    assert services.stop(chain, who="ada")
    assert job_of(chain, "sft").status == Status.STOPPED
    assert (chain.state, chain.reason) == (Chain.State.STOPPED, "Stopped by ada.")
    assert not services.stop(chain, who="ada")
    assert moved(chain).state == Chain.State.STOPPED
    assert Job.objects.count() == 1


def test_values_that_a_step_runs_over_are_a_job_each(user: User) -> None:
    text = TWO.replace("model: sft", "model: sft, over: {seed: [1, 2], lr: [1e-4]}")
    chain = started(text, user)
    ended(job_of(chain, "sft"))
    moved(chain)
    parts = list(chain.parts.filter(step="grpo"))
    assert [each.label for each in parts] == ["seed 1, lr 1e-4", "seed 2, lr 1e-4"]
    seeds = [each.job.spec["values"]["seed"] for each in parts if each.job]
    assert seeds == [1, 2]
    ended(job_of(chain, "grpo", 1), Status.FAILED)
    assert moved(chain).is_running  # until the other has ended, too
    ended(job_of(chain, "grpo", 2))
    assert moved(chain).state == Chain.State.FAILED


def test_a_merge_sweeps_and_the_best_is_chosen(user: User) -> None:
    merge = (
        "- name: merges\n  sweep: t=0.2:0.6:0.2\n  merge: |\n"
        "    merge_method: slerp\n    base_model: ${sft}\n"
        "    models: [{model: '${sft}'}, {model: '${grpo}'}]\n"
        "- {name: best, choose: merges, by: score, better: higher}\n"
        "- {name: smaller, convert: best, set: {dtype: bfloat16}}\n"
    )
    chain = started(TWO + merge, user)
    for step in ("sft", "grpo"):
        ended(job_of(chain, step))
        moved(chain)
    assert [each.label for each in chain.parts.filter(step="merges")] == ["t 0.2", "t 0.4", "t 0.6"]
    assert part(chain, "sft").path in job_of(chain, "merges").spec["recipe"]
    for nr, score in enumerate((0.5, 0.7, 0.6), 1):
        ended(job_of(chain, "merges", nr), score=score)
    moved(chain)
    best = part(chain, "best")
    assert "The merges t 0.4 has the highest score, 0.7, of 3." in best.said
    assert best.path == part(chain, "merges", 2).path
    assert job_of(chain, "smaller").spec["source"] == best.path


@pytest.mark.parametrize(
    ("gate", "said", "failed"),
    [
        ("at_least: 0.4", "score of sft is 0.5.", ""),
        ("at_least: 0.6", "", "score of sft is 0.5, which is below 0.6."),
        ("at_most: 0.4", "", "score of sft is 0.5, which is above 0.4."),
    ],
)
def test_a_gate(user: User, gate: str, said: str, failed: str) -> None:
    text = TWO.replace(
        "- {name: grpo", f"- {{name: gate, gate: sft, metric: score, {gate}}}\n- {{name: grpo"
    )
    chain = started(text.replace("model: sft", "model: gate"), user)
    ended(job_of(chain, "sft"), score=0.5)
    moved(chain)
    assert (part(chain, "gate").said, part(chain, "gate").failure) == (said, failed)
    if failed:
        assert (chain.state, chain.reason) == (Chain.State.FAILED, f"Step gate sft: {failed}")
        assert not chain.parts.filter(step="grpo").exists()
    else:
        assert job_of(chain, "grpo").after == job_of(chain, "sft")


def test_a_gate_on_a_metric_that_never_came(user: User) -> None:
    gate = "- {name: gate, gate: sft, metric: scoer, at_least: 1}"
    chain = started(f"{TWO}{gate}\n", user)
    ended(job_of(chain, "sft"), score=0.5)
    assert moved(chain).reason == "Step gate: scoer of sft never came. Logged were: score."


def test_what_cannot_be_asked_for_is_said_at_its_step(user: User) -> None:
    chain = started(f"{TWO}- {{name: av, average: grpo}}\n", user)
    for step in ("sft", "grpo"):
        ended(job_of(chain, step))
        moved(chain)
    assert chain.reason == "Step av: Models: Choose from 2 to 64 models, not 1."


def test_what_is_wrong_is_known_before_the_start(user: User) -> None:
    for change, sentence in {
        "sample-grpo": "There is no recipe nothing",
        "model: sft": "",
    }.items():
        text = TWO.replace(change, "nothing" if sentence else "model: sft, set: {lr: fast}")
        with pytest.raises(services.NotStarted) as caught:
            services.start(text, user)
        assert sentence in str(caught.value)
        assert "Step grpo:" in str(caught.value)
    assert not Chain.objects.exists()


@pytest.mark.parametrize(
    ("step", "sentence"),
    [
        ("{name: av, average: grpo, set: {metod: last}}", "no field metod. Did you mean method?"),
        ("{evaluate: [grpo], set: {way: answers, sampels: 2}}", "Did you mean samples?"),
        ("{evaluate: [grpo], over: {sampels: [2]}}", "Did you mean samples?"),
        ("{evaluate: [grpo], over: {samples: [2, x]}}", "Enter a whole number"),
        ("{evaluate: [grpo], set: {way: nonsense}}", "Select a valid choice"),
        ("{average: grpo, set: {decay: 3}}", "less than or equal to 1"),
        ("{merge: 'merge_method: nothing'}", "Step merge:"),
    ],
)
def test_a_field_that_there_is_not_is_known_before_the_start(
    user: User, step: str, sentence: str
) -> None:
    with pytest.raises(services.NotStarted, match=sentence.replace("?", r"\?")):
        services.start(f"{TWO}- {step}\n", user)


def test_a_job_that_a_worker_made_and_could_not_note_is_stopped_too(user: User) -> None:
    chain = started(TWO, user)
    chain.parts.update(job=None, asked=None)
    assert services.stop(chain, who="ada")
    assert Job.objects.get().status == Status.STOPPED
    assert not services.stop(chain, who="ada")


def test_a_machine_that_only_a_chain_names_is_retired(user: User) -> None:
    box = factories.make_ssh_machine(name="box")
    Chain.objects.create(owner=user, name="c", text=TWO, machine=box)
    assert remove(box, who="ada")  # it stays for the history
    box.refresh_from_db()
    assert box.is_retired


def test_it_is_not_resumed_while_its_jobs_are_being_stopped(user: User) -> None:
    chain = started(TWO, user)
    job = job_of(chain, "sft")
    lifecycle.move(job, Status.STARTING)
    services.stop(chain, who="ada")
    with pytest.raises(services.NotStarted, match="is still being stopped"):
        services.resume(chain, who="ada")
    lifecycle.move(job, Status.STOPPED)
    assert services.resume(chain, who="ada")


def test_a_refused_part_does_not_make_the_others_anew(user: User) -> None:
    chain = started(TWO.replace("model: sft", "model: sft, over: {seed: [1, 2]}"), user)
    ended(job_of(chain, "sft"))
    moved(chain)
    first, second = part(chain, "grpo", 1), part(chain, "grpo", 2)
    ended(job_of(chain, "grpo", 1), Status.FAILED)
    job_of(chain, "grpo", 2).delete()
    chain.parts.filter(pk=second.pk).update(asked=None, failure="It was refused.")
    assert moved(chain).state == Chain.State.FAILED
    services.resume(chain, who="ada")
    moved(chain)
    again = part(chain, "grpo", 1)
    assert (again.attempt, again.asked == first.asked) == (2, False)
    assert part(chain, "grpo", 2).asked


def test_an_evaluation_that_nobody_can_read_fails_its_step(user: User, samples: Path) -> None:
    chain = started(TWO, user)
    text = f"{TWO}- {{evaluate: [grpo]}}\n"
    type(chain).objects.update(text=text)
    for step in ("sft", "grpo"):
        ended(job_of(chain, step))
        moved(chain)
    Evaluation.objects.all().delete()
    own = chain.parts.get(step="evaluate")
    job = ended(factories.make_job(user, kind="evaluate", spec={}, status=Status.QUEUED))
    chain.parts.filter(pk=own.pk).update(job=job, asked=job.pk, failure="")
    Evaluation.objects.create(job=job, fault="It is no JSON.")
    Chain.objects.update(state=Chain.State.RUNNING)
    moved(chain)
    assert chain.state == Chain.State.FAILED
    assert "It is no JSON." in chain.reason


def test_an_evaluation_is_done_once_it_is_read_and_a_gate_compares(
    user: User, samples: Path
) -> None:
    """The whole of a chain that ends with a gate; the evaluations are written by hand."""
    version = factories.make_version(
        target="rl",
        train_file=str(samples / "rl/train.parquet"),
        val_file=str(samples / "rl/val.parquet"),
    )
    steps = (
        f"- {{name: scores, evaluate: [sft, grpo], set: {{way: answers, dataset: {version.pk},"
        " reward_file: '{rewards}/arithmetic.py'}}\n"
        "- {name: gate, gate: grpo, from: scores, metric: eval/score/mean, better_than: sft}\n"
    )
    chain = started(TWO + steps, user)
    for step in ("sft", "grpo"):
        ended(job_of(chain, step))
        moved(chain)
    assert chain.is_running, chain.reason
    jobs = [job_of(chain, "scores", nr) for nr in (1, 2)]
    assert [job.kind for job in jobs] == ["evaluate", "evaluate"]
    assert jobs[0].spec["model"] == part(chain, "sft").path
    for job in jobs:
        ended(job)
    moved(chain)
    assert f"What job {jobs[0].pk} found is being read." in chain.reason
    assert states(chain)["gate"] == "waiting"
    for job, values in zip(jobs, ([0.1, 0.3] * 20, [0.6, 0.7] * 20), strict=True):
        found(job, *values)
    moved(chain)
    assert chain.state == Chain.State.COMPLETED
    assert "It is better: the difference is +0.45" in part(chain, "gate").said
