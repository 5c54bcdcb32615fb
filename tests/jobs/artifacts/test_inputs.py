"""What a job reads is written down when it is submitted, and when it starts."""

import hashlib
from pathlib import Path

import pytest
from django.contrib.auth.models import User

from compute.runners.base import Launch
from compute.runners.local.runner import LocalRunner
from jobs.launch import start
from jobs.launch.submit import submit
from jobs.models import Artifact, Job, Status
from tests import factories

pytestmark = [pytest.mark.backends, pytest.mark.usefixtures("queue")]


def read(job: Job) -> list[tuple[str, str]]:
    return sorted((each.role, str(each.artifact or each.source)) for each in job.inputs.all())


def order(user: User, path: Path, **values: object) -> Job:
    made = factories.make_order(user, spec=factories.grpo_spec(**values))
    return submit(made, start=False)


def test_data_reward_file_and_model(user: User, home: Path) -> None:
    data = factories.write_rl_rows(home / "rl.parquet", 3)
    version = factories.make_version(data, factories.make_dataset(name="sums"), target="rl")
    reward = home / "reward.py"
    reward.write_text("def score(): return 1")
    model = factories.make_model_folder(home / "base")
    job = order(
        user, home, train_files=str(data), val_files=str(data), reward_file=str(reward),
        model_path=str(model),
    )  # fmt: skip
    assert read(job) == [("data", "sums@1"), ("model", "base"), ("reward", "reward.py")]
    data_row = Artifact.objects.get(version=version)
    assert (data_row.owner, data_row.size) == (None, data.stat().st_size)
    file = Artifact.objects.get(kind="reward")
    assert file.digest == hashlib.sha256(reward.read_bytes()).hexdigest()
    assert file.places.get().path == str(reward)
    assert Artifact.objects.get(kind="huggingface").places.get().path == str(model)


def test_the_same_file_is_one_artifact_until_it_changes(user: User, home: Path) -> None:
    reward = home / "reward.py"
    for text in ("one", "one", "two"):
        reward.write_text(text)
        order(user, home, reward_file=str(reward))
    assert Artifact.objects.filter(kind="reward").count() == 2
    assert Artifact.objects.filter(kind="huggingface").count() == 1  # the model, thrice


def test_what_cannot_be_read_has_no_digest_and_no_place(user: User, home: Path) -> None:
    order(user, home, reward_file="/nowhere/reward.py", model_path="Qwen/Qwen3-8B")
    assert Artifact.objects.get(kind="reward").digest == ""
    assert Artifact.objects.get(kind="huggingface").name == "Qwen/Qwen3-8B"
    assert [artifact.places.count() for artifact in Artifact.objects.all()] == [0, 0]


def test_a_draft_that_is_changed_reads_something_else(user: User) -> None:
    first = factories.make_order(user)
    submit(first, start=False)
    changed = factories.make_order(user, uuid=first.uuid, spec=factories.sft_spec(model_path="a/b"))
    job = submit(changed, start=True)
    assert read(job) == [("model", "a/b")]
    submit(first, start=True)  # it is not a draft any more
    assert read(job) == [("model", "a/b")]


def test_a_model_inside_a_checkpoint_is_that_checkpoint(user: User) -> None:
    before = factories.make_job(user, status=Status.COMPLETED)
    factories.keep_checkpoints(before, {20: 5}, has_hf=True)
    inside = f"{before.run_dir}/checkpoints/global_step_20/huggingface"
    job = submit(
        factories.make_order(user, spec=factories.sft_spec(model_path=inside)), start=False
    )
    assert read(job) == [("model", "checkpoint of step 20")]
    assert job.inputs.get().artifact == before.artifacts.get()


def test_what_is_to_be_made_yet_is_filled_in_at_the_start(
    user: User, samples: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LocalRunner, "launch", lambda self, launch: launched.append(launch))
    launched: list[Launch] = []
    spec = factories.sft_spec(save_contents="model,hf_model")
    before = factories.make_job(user, name="first", spec=spec.to_json(), status=Status.RUNNING)
    awaited = f"{before.run_dir}/checkpoints/global_step_N/huggingface"
    wanted = factories.sft_spec(model_path=awaited)
    job = submit(
        factories.make_order(user, spec=wanted, after=before, after_checkpoint=True), start=True
    )
    assert read(job) == [("model", "first")]
    assert start.claim_next(job.machine_id) is None
    folder = "checkpoints/global_step_3/huggingface"
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        factories.write_run_file(before, f"{folder}/{name}", "{}")
    factories.write_run_file(before, "checkpoints/latest_checkpointed_iteration.txt", "3")
    Job.objects.filter(pk=before.pk).update(status=Status.COMPLETED)
    claimed = start.claim_next(job.machine_id)
    assert claimed == job
    assert claimed is not None
    start.launch(claimed)
    assert len(launched) == 1
    kept = job.inputs.get()
    assert (kept.artifact, kept.source) == (before.artifacts.get(), before)
    assert kept.artifact is not None
    assert kept.artifact.step == 3
