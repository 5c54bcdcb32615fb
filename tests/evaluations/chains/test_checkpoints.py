"""Steps that work on what a run saved on its way: the choice of a checkpoint, and its adapter."""

import json
import shutil
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from evaluations.chains import services
from evaluations.chains.drawing import graph_of
from evaluations.chains.models import Chain
from evaluations.chains.parts import needed, parts_of, to_remake
from evaluations.chains.story import story_of
from jobs.archive.refusals import why_not
from jobs.artifacts import refusals
from jobs.checkpoints import list_checkpoints
from jobs.models import Job, Place, Status
from jobs.verl.checkpoints import NEWEST_STEP_FILE
from tests import factories
from tests.evaluations.chains.runs import ended, job_of, moved, part, started, states
from tests.evaluations.gates.test_gates import found
from tests.surgery.models import CONFIG, adapter, model

pytestmark = [
    pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("queue", "samples"),
]  # fmt: skip
CHOICE = """
name: Best
steps:
- {name: sft, train: sample-sft}
- {name: best, choose: sft, among: checkpoints, by: val/loss}
"""
SMALLER = "- {name: small, convert: best, set: {dtype: bfloat16}}\n"
ON = "- {name: grpo, train: sample-grpo, model: best}\n"


def saved(job: Job, losses: dict[int, float], *, has_model: bool = True) -> Job:
    """The job, completed, with a checkpoint of each of these steps and its loss there."""
    for step in losses:
        folder = f"checkpoints/global_step_{step}"
        factories.write_run_file(job, f"{folder}/model_world_size_1_rank_0.pt", "shard")
        factories.write_run_file(job, f"{folder}/huggingface/config.json", json.dumps(CONFIG))
        if has_model:
            model_of = Path(str(job.spec["values"]["model_path"]))
            shutil.copytree(model_of, Path(job.run_dir, folder, "huggingface"), dirs_exist_ok=True)
    factories.write_run_file(job, f"checkpoints/{NEWEST_STEP_FILE}", str(max(losses)))
    factories.add_points(job, "val/loss", losses)
    return ended(job)


def chosen(text: str, user: User, **more: bool) -> tuple[Chain, Job]:
    chain = started(text, user)
    job = saved(job_of(chain, "sft"), {4: 0.1, 8: 0.3}, **more)
    moved(chain)
    return chain, job


def test_the_best_checkpoint_of_a_run_is_passed_on(user: User) -> None:
    chain, job = chosen(CHOICE + SMALLER, user)
    best = part(chain, "best")
    assert best.path == f"{job.run_dir}/checkpoints/global_step_4"
    assert "has the lowest val/loss, 0.1, of 2" in best.said
    assert job_of(chain, "small").spec["source"] == best.path
    [_, now, _] = story_of(chain)
    assert now.words == "choose among the checkpoints of sft"
    assert [box.words for box in graph_of(chain.recipe, story_of(chain)).boxes][1] == "choose, done"


def test_training_goes_on_from_the_chosen_one(user: User) -> None:
    chain, _ = chosen(CHOICE + ON, user)
    assert states(chain)["grpo"] == "running", chain.reason
    grpo = job_of(chain, "grpo")
    assert grpo.after is None  # after the job it would begin with the newest
    path = f"{part(chain, 'best').path}/huggingface"
    assert grpo.spec["values"]["model_path"] == path


def test_a_chosen_one_without_a_model_to_train_on_is_said(user: User) -> None:
    chain, _ = chosen(CHOICE + ON, user, has_model=False)
    assert "has no whole model as Hugging Face's libraries read it" in chain.reason


def test_the_newest_one_is_the_model_of_its_job_and_may_be_sent_elsewhere(user: User) -> None:
    chain, job = chosen(CHOICE.replace("val/loss", "val/loss, better: higher") + ON, user)
    assert part(chain, "best").path.endswith("global_step_8")
    assert states(chain)["grpo"] == "running", chain.reason
    assert job_of(chain, "grpo").after == job


def test_a_metric_that_was_logged_nowhere(user: User) -> None:
    chain, _ = chosen(CHOICE.replace("val/loss", "val/los, better: lower") + SMALLER, user)
    assert (
        "No checkpoint has a value of val/los at its step. Logged were: val/loss." in chain.reason
    )


def test_the_checkpoints_to_choose_among_and_the_chosen_one_stay(user: User) -> None:
    chain, job = chosen(CHOICE + SMALLER, user)
    list_checkpoints(job)
    job_of(chain, "small").inputs.all().delete()
    first, second = Place.objects.filter(artifact__job=job).order_by("artifact__step")
    assert "for the step small" in refusals.why_not(first)
    # What the job left last is no part of it any more; it is kept with the job alone.
    assert "for the step small" in why_not(job)[0]
    ended(job_of(chain, "small"), Status.FAILED)
    moved(chain)
    assert refusals.why_not(second) == ""
    shutil.rmtree(first.path)
    Place.objects.filter(pk=first.pk).update(gone_at="2026-01-01T00:00Z")
    services.resume(chain, who="ada")
    moved(chain)
    assert part(chain, "best").path.endswith("global_step_8")
    assert job_of(chain, "sft") == job


def test_the_last_model_of_a_run_may_go_once_another_checkpoint_was_chosen(user: User) -> None:
    chain, job = chosen(CHOICE + SMALLER, user)
    list_checkpoints(job)
    ended(job_of(chain, "small"), Status.FAILED)
    moved(chain)
    places = Place.objects.filter(artifact__job=job)
    places.filter(artifact__step=8).update(gone_at=timezone.now())
    assert to_remake(chain.recipe, parts_of(chain)) == []
    places.filter(artifact__step=4).update(gone_at=timezone.now())
    again = to_remake(chain.recipe, parts_of(chain))
    assert {each.step for each in again} == {"best", "sft"}


def test_of_several_steps_that_need_a_run_the_one_that_reads_its_checkpoints_counts(
    user: User,
) -> None:
    text = "- {name: mean, average: sft}\n" + SMALLER.replace("best", "sft")
    chain, _ = chosen(CHOICE + text, user)
    steps = {part.step: step.name for part, step in needed(chain.recipe, parts_of(chain)).items()}
    assert steps == {"sft": "mean"}


@pytest.mark.parametrize(("most", "failure"), [(0.2, ""), (0.05, "0.1, which is above 0.05")])
def test_a_gate_takes_the_value_at_the_step_of_the_chosen_checkpoint(
    user: User, most: float, failure: str
) -> None:
    chain, _ = chosen(f"{CHOICE}- {{gate: best, metric: val/loss, at_most: {most}}}\n", user)
    gate = part(chain, "gate")
    assert failure in gate.failure
    assert gate.said == ("" if failure else "val/loss of best sft is 0.1.")


def test_a_gate_on_what_was_not_logged_at_the_step_of_the_chosen_one(user: User) -> None:
    chain = started(f"{CHOICE}- {{gate: best, metric: score, at_least: 0}}\n", user)
    job = job_of(chain, "sft")
    factories.add_points(job, "score", {8: 0.5})
    saved(job, {4: 0.1, 8: 0.3})
    moved(chain)
    assert "score of best sft has no value at its step. Logged were: score," in chain.reason


@pytest.mark.parametrize(
    ("evaluates", "said"),
    [
        ("sft", "eval/score/mean of best sft never came."),
        ("best", "eval/score/mean of best sft is 0.5."),
    ],
)
def test_scores_of_the_last_model_are_not_those_of_the_chosen_one(
    user: User, samples: Path, evaluates: str, said: str
) -> None:
    file = str(samples / "rl/val.parquet")
    version = factories.make_version(target="rl", train_file=file, val_file=file)
    text = (
        f"- {{name: scores, evaluate: [{evaluates}], set: {{way: answers, dataset: {version.pk},"
        " reward_file: '{rewards}/arithmetic.py'}}\n"
        "- {gate: best, from: scores, metric: eval/score/mean, at_least: 0.1}\n"
    )
    chain, _ = chosen(CHOICE + text, user)
    job = ended(job_of(chain, "scores"))
    found(job, 0.4, 0.6)
    moved(chain)
    assert said in f"{chain.reason} {part(chain, 'gate').said}"


def test_the_adapter_of_a_chosen_checkpoint_that_is_gone_is_not_that_of_another(
    user: User,
) -> None:
    text = CHOICE.replace("sample-sft", "sample-sft, set: {lora_rank: 8}")
    chain, job = chosen(text + "- {name: own, adapter: best}\n", user)
    export, path = job_of(chain, "own"), part(chain, "best").path
    assert export.spec["step"] == 4
    ended(export, Status.FAILED)
    moved(chain)
    shutil.rmtree(path)
    services.resume(chain, who="ada")
    moved(chain)
    assert f"Job {job.pk} has no whole checkpoint {path} any more." in chain.reason
    services.resume(chain, who="ada")
    moved(chain)
    assert part(chain, "best").path != path  # it is chosen again
    assert job_of(chain, "own").spec["step"] > 4


def test_an_adapter_is_exported_and_adapters_are_merged(user: User, home: Path) -> None:
    base, other = model(user, home / "base"), adapter(user, home / "other")
    text = (
        "name: LoRA\nsteps:\n- {name: sft, train: sample-sft, set: {lora_rank: 8}}\n"
        "- {name: own, adapter: sft}\n"
        f"- name: both\n  lora: [own, {other}]\n  base: {base}\n"
        "  over: {weights: [0.5 0.5, 1 1]}\n"
    )
    chain = started(text, user)
    saved(job_of(chain, "sft"), {4: 0.1, 8: 0.3})
    moved(chain)
    export = job_of(chain, "own")
    assert (export.kind, export.spec["step"], export.spec["keep_adapter"]) == ("export", 16, True)
    assert why_not(job_of(chain, "sft"))
    factories.write_run_file(export, "model/lora_adapter/adapter_config.json", "{}")
    ended(export)
    moved(chain)
    assert states(chain)["both"] == "running", chain.reason
    first, second = job_of(chain, "both", 1), job_of(chain, "both", 2)
    assert (first.kind, first.spec["base"]) == ("lora_merge", str(base))
    assert first.spec["adapters"] == [
        {"path": part(chain, "own").path, "weight": 0.5}, {"path": str(other), "weight": 0.5},
    ]  # fmt: skip
    assert second.spec["adapters"][0]["weight"] == 1
    for each in (first, second):
        ended(each)
    assert moved(chain).state == Chain.State.COMPLETED
    assert states(chain)["both"] == "completed"


def test_what_is_wrong_with_them_is_known_before_the_start(
    page: Client, user: User, home: Path
) -> None:
    base = model(user, home / "base")
    text = f"steps:\n- {{lora: [{base}], base: {base}, set: {{wieghts: '1'}}}}\n"
    with pytest.raises(services.NotStarted) as caught:
        services.start(text, user)
    assert "it has no adapter_config.json" in str(caught.value)
    assert "It has no field wieghts. Did you mean weights?" in str(caught.value)
    data = {"text": CHOICE, "uuid": "0" * 31 + "1", "action": "check", "machine": "", "name": ""}
    shown = page.post("/evaluations/chains/new/", data)
    assert shown.status_code == 200
