"""What a job reads is written down when it is submitted, and when it starts."""

import hashlib
from pathlib import Path

import pytest
from django.contrib.auth.models import User

from compute.runners.base import Launch
from compute.runners.local.runner import LocalRunner
from jobs.artifacts.keeping import UNFINISHED, keep_products
from jobs.artifacts.refusals import why_not
from jobs.checkpoints import list_checkpoints
from jobs.launch import start
from jobs.launch.submit import MadeAnother, submit
from jobs.models import Artifact, Job, Place, Status
from surgery.kinds.average import AverageSpec
from surgery.kinds.lora import LoraMergeSpec
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
    with pytest.raises(MadeAnother):  # it is not a draft any more
        submit(first, start=True)
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


def read_by_average(user: User, *paths: Path) -> list[Artifact | None]:
    spec = AverageSpec("uniform", [{"path": str(path), "step": None} for path in paths])
    job = submit(factories.make_order(user, spec=spec), start=True)
    return [each.artifact for each in job.inputs.order_by("pk")]


def test_a_link_is_what_it_leads_to(user: User, home: Path) -> None:
    run = factories.make_job(user, status=Status.COMPLETED)
    factories.keep_checkpoints(run, {10: 5, 20: 5})
    saved = Path(run.run_dir, "checkpoints")
    saved.mkdir(parents=True)
    (home / "link").symlink_to(saved)
    paths = [home / f"link/global_step_{step}" for step in (10, 20)]
    assert read_by_average(user, *paths) == list(run.artifacts.order_by("step"))
    for place in Place.objects.filter(artifact__job=run):
        assert "reads it, which is queued" in why_not(place)


@pytest.mark.parametrize("through", ["", "link"])
def test_what_a_run_saves_is_its_own_before_anybody_lists_it(
    user: User, home: Path, through: str
) -> None:
    run = factories.make_job(user, status=Status.RUNNING)
    for step in (10, 20):
        factories.write_run_file(run, f"checkpoints/global_step_{step}/model.pt", "x")
    (home / "link").symlink_to(run.run_dir)
    root = home / through if through else Path(run.run_dir)
    paths = [root / f"checkpoints/global_step_{step}/actor" for step in (10, 20)]
    read = read_by_average(user, *paths)
    run.refresh_from_db()
    assert run.listing_due
    list_checkpoints(run)
    assert read == list(run.artifacts.order_by("step"))
    assert Artifact.objects.count() == 2
    for place in Place.objects.select_related("machine", "artifact__job"):
        assert "reads it, which is queued" in why_not(place)


def test_a_model_is_its_jobs_own_before_it_is_whole(user: User, home: Path) -> None:
    spec = AverageSpec("uniform", [{"path": "/m", "step": None}])
    maker = factories.make_job(user, kind="average", spec=spec.to_json(), status=Status.RUNNING)
    folder = factories.write_run_file(maker, "model/config.json", "{}").parent
    (read,) = read_by_average(user, folder)
    assert read == maker.artifacts.get()
    assert (read.kind, read.is_whole, read.fault) == ("huggingface", False, UNFINISHED)
    keep_products(maker, {})
    made = maker.artifacts.get()
    assert (made, made.is_whole, made.fault) == (read, True, "")
    assert "reads it, which is queued" in why_not(made.places.get())


def test_an_adapter_that_was_brought_is_an_adapter(user: User, home: Path) -> None:
    spec = LoraMergeSpec(str(home / "base"), [{"path": str(home / "lora"), "weight": 1.0}])
    job = submit(factories.make_order(user, spec=spec), start=True)
    kinds = {each.role: each.artifact.kind for each in job.inputs.all() if each.artifact}
    assert kinds == {"base": "huggingface", "adapter": "adapter"}


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
