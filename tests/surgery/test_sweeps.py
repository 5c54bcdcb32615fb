"""A recipe and a range of a parameter become a merge for each value."""

import json
import uuid as uuids
from pathlib import Path

import pytest
import yaml
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from compute.machines.local import local_machine
from jobs.artifacts.keeping import keep_made
from jobs.models import Artifact, Job, Status
from surgery.compose.models import Sweep, Swept
from surgery.recipes.recipe import RecipeError
from surgery.recipes.sweep import Range, read_range, swept
from tests import factories
from tests.pages import asks_for_login, queries, refuses_other_methods
from tests.surgery.conftest import FakeLook
from tests.surgery.models import model

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("queue")]
NEW = "/surgery/sweep/"
TWO = "merge_method: linear\nmodels:\n- model: /a\n- model: /b\n"
ARC = "merge_method: slerp\nbase_model: /a\nmodels:\n- model: /a\n- model: /b\n"
BASED = TWO.replace("linear", "ties") + "base_model: /c\n"
SLICED = """merge_method: slerp
base_model: /a
slices:
- sources: [{model: /a, layer_range: [0, 2]}, {model: /b, layer_range: [0, 2]}]
  parameters: {t: 0.5}
"""


@pytest.fixture
def recipe(user: User, home: Path) -> str:
    first, second = model(user, home / "a"), model(user, home / "b")
    return (
        f"merge_method: slerp\nbase_model: {first}\nmodels:\n- model: {first}\n- model: {second}\n"
    )


def form(text: str, **fields: object) -> dict[str, object]:
    given = {"uuid": uuids.uuid4(), "recipe": text, "over": "t=0.1:0.9:0.4", "name": "arc"}
    return {**given, "machine": local_machine().pk, "action": "start", **fields}


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("t=0.1:0.9:0.2", [0.1, 0.3, 0.5, 0.7, 0.9]),
        (" t = -1 : 1 : 1 ", [-1.0, 0.0, 1.0]),
        ("t=0:1:0.4", [0.0, 0.4, 0.8]),
    ],
)
def test_a_range(text: str, values: list[float]) -> None:
    assert read_range(text) == Range("t", values)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "is no range"),
        ("t", "is no range"),
        ("=0:1:0.1", "is no range"),
        ("t=0:1", "is no range"),
        ("t=a:1:0.1", "'a' in 't=a:1:0.1' is no number"),
        ("t=0:inf:0.1", "'inf' in 't=0:inf:0.1' is too large"),
        ("t=0:nan:0.1", "is too large, or no number"),
        ("t=0:1e999999:0.1", "is too large"),
        ("t=0:1:0", "goes up"),
        ("t=1:0:0.1", "goes up"),
        ("t=0:1:-0.1", "goes up"),
        ("t=0:1:0.01", "has 101 values; a sweep has from 2 to 50"),
        ("t=0:1:5", "has 1 values"),
    ],
)
def test_what_is_no_range(text: str, sentence: str) -> None:
    with pytest.raises(RecipeError, match=sentence):
        read_range(text)


def test_a_ratio_is_shared_by_two_models() -> None:
    found = [yaml.safe_load(text) for _, text in swept(TWO, read_range("ratio=0.25:0.75:0.5"))]
    weights = [[each["parameters"]["weight"] for each in data["models"]] for data in found]
    assert weights == [[0.75, 0.25], [0.25, 0.75]]


def test_a_ratio_leaves_out_the_base() -> None:
    text = TWO.replace("linear", "ties") + "- model: /base\nbase_model: /base\n"
    _, (_, last) = swept(text, read_range("ratio=0.25:0.75:0.5"))
    assert yaml.safe_load(last)["models"] == [
        {"model": "/a", "parameters": {"weight": 0.25}},
        {"model": "/b", "parameters": {"weight": 0.75}},
        {"model": "/base"},
    ]


def test_a_parameter_takes_the_place_of_the_one_that_stood_there() -> None:
    text = TWO.replace("linear", "ties") + "base_model: /c\nparameters: {density: 1, weight: 0.5}\n"
    (_, first), _ = swept(text, read_range("density=0.2:0.6:0.4"))
    assert yaml.safe_load(first)["parameters"] == {"density": 0.2, "weight": 0.5}


@pytest.mark.parametrize(
    ("text", "over", "sentence"),
    [
        (TWO, "t=0:1:1", "linear has no number t to sweep. It has: weight, ratio."),
        (TWO, "normalize=0:1:1", "linear has no number normalize"),
        (TWO + "- model: /c\n", "ratio=0:1:1", "is of two models; the recipe weighs 3"),
        (TWO.replace("linear", "karcher"), "ratio=0:1:1", "karcher has no weights"),
        (TWO + "  parameters: {weight: 1}\n", "weight=0:1:1", "a weight of its own"),
        (SLICED, "t=0:1:1", "A model or a slice of the recipe has a t of its own"),
        (ARC + "parameters: {t: [{filter: mlp, value: 0}, {value: 0.5}]}\n", "t=0:1:1",
         "The t of the recipe differs by the layer or the tensor"),
        (ARC + "parameters: {t: {filter: mlp, value: 0}}\n", "t=0:1:1", "differs by the layer"),
        (ARC + "parameters: {t: [0, 1]}\n", "t=0:1:1", "differs by the layer"),
        (TWO + "  parameters: {weight: [0, 1]}\n", "ratio=0:1:1",
         "The weight of a model differs by the layer or the tensor"),
        (TWO, "weight=0.1:0.9:0.2", "All models would have the same weight, and linear divides by "
         r"their sum \(normalize\): the merges would be the same. With normalize: false in the "
         "recipe they would not be. Sweep ratio, of two models how much the second counts"),
        (BASED, "weight=0.1:0.9:0.2", "ties divides by their sum .* Sweep ratio, .* or density or "
         "lambda"),
        (BASED + "parameters: {normalize: 'True'}\n", "weight=0:1:1", "would be the same"),
        (TWO.replace("linear", "multislerp"), "weight=0.1:1:0.1", r"\(normalize_weights\)"),
        (TWO.replace("linear", "nuslerp"), "weight=0.1:1:0.1", "by the share of each"),
        (BASED.replace("ties", "task_arithmetic"), "density=0.1:1:0.1", "keeps every change"),
        (BASED.replace("ties", "breadcrumbs"), "gamma=0.1:0.5:0.1", "With a density of 1 every"),
        (BASED.replace("ties", "della"), "epsilon=0.1:0.3:0.1", "a density below 1"),
        ("merge_method: none\n", "t=0:1:1", "no merge_method that is known"),
        ("- a list", "t=0:1:1", "no merge_method that is known"),
        ("a: [", "t=0:1:1", "is no YAML"),
    ],
)  # fmt: skip
def test_what_cannot_be_swept(text: str, over: str, sentence: str) -> None:
    with pytest.raises(RecipeError, match=sentence):
        swept(text, read_range(over))


@pytest.mark.parametrize(
    ("text", "over"),
    [
        (TWO + "parameters: {normalize: false}\n", "weight=0.1:0.9:0.4"),
        (TWO + "parameters: {normalize: [{filter: mlp, value: 0}, {value: 1}]}\n", "weight=0:1:1"),
        (BASED.replace("ties", "dare_ties"), "weight=0.1:0.9:0.4"),
        (BASED.replace("ties", "breadcrumbs") + "parameters: {density: 0.5}\n", "gamma=0:0.1:0.1"),
        (BASED.replace("- model: /a\n", "- model: /a\n  parameters: {density: 0.5}\n")
         .replace("ties", "della"), "epsilon=0.1:0.3:0.1"),
        (BASED, "density=0.1:0.9:0.4"),
        (BASED, "lambda=0.1:0.9:0.4"),
    ],
)  # fmt: skip
def test_what_changes_something_is_swept(text: str, over: str) -> None:
    made = [recipe for _, recipe in swept(text, read_range(over))]
    assert len(set(made)) == len(made) >= 2


def test_the_form_makes_a_merge_for_each_value(page: Client, recipe: str) -> None:
    data = form(recipe)
    for _ in range(2):  # the same form twice is one sweep
        response = page.post(NEW, data)
    made = Sweep.objects.get()
    assert response.headers["Location"] == made.get_absolute_url()
    jobs = [row.job for row in made.merges.order_by("value")]
    assert [job.name for job in jobs] == ["arc, t 0.1", "arc, t 0.5", "arc, t 0.9"]
    assert [yaml.safe_load(job.spec["recipe"])["parameters"] for job in jobs] == [
        {"t": 0.1}, {"t": 0.5}, {"t": 0.9},
    ]  # fmt: skip
    assert {job.status for job in Job.objects.filter(kind="merge")} == {Status.QUEUED}
    assert Job.objects.filter(kind="merge").count() == 3


def test_the_same_number_of_another_s_form_is_another_sweep(
    page: Client, other: User, recipe: str
) -> None:
    theirs = Sweep.objects.create(owner=other, name="theirs", parameter="t", over="t=0:1:1")
    assert page.post(NEW, form(recipe, uuid=theirs.uuid)).status_code == 302
    assert Sweep.objects.count() == 2


def test_a_check_looks_into_the_models_once_and_makes_nothing(
    page: Client, recipe: str, look: FakeLook
) -> None:
    response = page.post(NEW, form(recipe, action="check"))
    text = response.content.decode()
    assert "speaks against these 3 merges" in text
    assert "0.1, 0.5, 0.9. The models were looked into: 50 tensors" in text
    assert len(look.asked) == 1
    look.refusal = "A shard is missing."
    response = page.post(NEW, form(recipe, action="check"))
    assert response.status_code == 422
    assert "A shard is missing." in response.content.decode()
    assert not Sweep.objects.exists()


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"over": "t=0.1"}, "is no range"),
        ({"over": "density=0:1:0.5"}, "slerp has no number density"),
        ({"recipe": "merge_method: none"}, "no merge_method that is known"),
        ({"recipe": TWO, "over": "ratio=0:1:0.5"}, "lies outside the allowed folders"),
        ({"name": "two\nlines"}, "one line"),
        ({"uuid": "none"}, "Send it once more"),
    ],
)
def test_bad_input_is_told_and_makes_nothing(
    page: Client, recipe: str, fields: dict[str, object], sentence: str
) -> None:
    response = page.post(NEW, form(recipe, **fields))
    assert response.status_code == 422
    assert sentence in response.content.decode()
    if set(fields) == {"over"}:
        assert set(response.context["form"].errors) == {"over"}
    assert not Sweep.objects.exists()
    assert not Job.objects.filter(kind="merge").exists()


def test_its_page_has_the_model_of_each(page: Client, recipe: str) -> None:
    page.post(NEW, form(recipe, name="<arc>"))
    made = Sweep.objects.get()
    job = made.merges.get(value=0.5).job
    artifact = keep_made(
        job, Artifact.Kind.HUGGINGFACE, "model", f"{job.run_dir}/model", size=2048, digest="ab" * 32
    )
    text = page.get(made.get_absolute_url()).content.decode()
    assert "&lt;arc&gt;, t 0.5" in text
    assert "2.0 KiB" in text
    assert f'href="/jobs/new/on/{artifact.pk}/"' in text
    assert "Other scores come with evaluations" in " ".join(text.split())
    assert "&lt;arc&gt;" in page.get("/surgery/sweeps/").content.decode()
    artifact.places.update(gone_at=job.created_at)
    assert (
        f'href="/jobs/new/on/{artifact.pk}/"'
        not in page.get(made.get_absolute_url()).content.decode()
    )


def test_it_goes_with_the_last_of_its_jobs(page: Client, user: User, recipe: str) -> None:
    page.post(NEW, form(recipe))
    made = Sweep.objects.get()
    first, *others = Job.objects.filter(kind="merge")
    first.delete()
    assert made.merges.count() == 2
    for job in others:
        job.delete()
    assert not Sweep.objects.exists()
    assert page.get(made.get_absolute_url()).status_code == 404


def test_a_sweep_is_deleted_with_its_merges(page: Client, recipe: str) -> None:
    page.post(NEW, form(recipe))
    Sweep.objects.get().delete()
    assert not Sweep.objects.exists()
    assert not Swept.objects.exists()


def test_a_check_looks_at_the_models_as_often_for_many_values(page: Client, recipe: str) -> None:
    counts = []
    for over in ("t=0.1:0.2:0.1", "t=0.01:0.5:0.01"):
        with CaptureQueriesContext(connection) as captured:
            assert page.post(NEW, form(recipe, over=over, action="check")).status_code == 200
        counts.append(len(captured))
    assert counts[0] == counts[1]


@pytest.mark.parametrize(
    "changed", [{"over": "t=0.2:0.8:0.6"}, {"name": "another"}, {"recipe": "# changed\n"}]
)
def test_a_changed_form_sent_again_is_told_and_can_be_sent_once_more(
    page: Client, recipe: str, changed: dict[str, str]
) -> None:
    """After Start and Back the page still has the number of the sweep that was made."""
    data = form(recipe)
    page.post(NEW, data)
    given = {**data, **changed}
    given["recipe"] = recipe if "recipe" not in changed else changed["recipe"] + recipe
    response = page.post(NEW, given)
    assert response.status_code == 422
    text = response.content.decode()
    assert "Nothing was made: this form has made the sweep arc already" in text
    assert Sweep.objects.count() == 1
    fresh = response.context["form"]["uuid"].value()
    assert f'value="{fresh}"' in text
    assert page.post(NEW, {**given, "uuid": fresh}).status_code == 302
    assert Sweep.objects.count() == 2


def test_the_same_form_for_another_machine_is_a_changed_one(page: Client, recipe: str) -> None:
    box = factories.make_ssh_machine(python="/opt/venv/bin/python", workdir="/w")
    text = TWO.replace("/a", "/m/a").replace("/b", "/m/b")
    data = form(text, over="ratio=0.25:0.75:0.5", machine=box.pk)
    assert page.post(NEW, data).status_code == 302
    other = factories.make_ssh_machine(name="other", python="/opt/venv/bin/python", workdir="/w")
    assert page.post(NEW, {**data, "machine": other.pk}).status_code == 422
    assert page.post(NEW, data).status_code == 302
    assert Sweep.objects.count() == 1


def test_as_many_queries_for_three_as_for_two(page: Client, recipe: str) -> None:
    page.post(NEW, form(recipe))
    page.post(NEW, form(recipe, over="t=0.1:0.3:0.2"))
    few, many = Sweep.objects.order_by("-pk")
    assert queries(page, few.get_absolute_url()) == queries(page, many.get_absolute_url())


def test_someone_else_s_is_404_and_login_is_asked_for(
    client: Client, user: User, other: User
) -> None:
    made = Sweep.objects.create(owner=user, name="mine", parameter="t", over="t=0:1:1")
    assert all(asks_for_login(url) for url in (NEW, "/surgery/sweeps/", made.get_absolute_url()))
    client.force_login(other)
    assert client.get(made.get_absolute_url()).status_code == 404
    assert "mine" not in client.get("/surgery/sweeps/").content.decode()


def test_other_methods(page: Client, user: User) -> None:
    made = Sweep.objects.create(owner=user, name="mine", parameter="t", over="t=0:1:1")
    assert refuses_other_methods(page, NEW, "get", "post")
    assert refuses_other_methods(page, "/surgery/sweeps/", "get")
    assert refuses_other_methods(page, made.get_absolute_url(), "get", "post")


def test_the_command(
    user: User, staff: User, recipe: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = home / "recipe.yaml"
    file.write_text(recipe)
    words = [str(file), "--sweep", "t=0.1:0.9:0.4"]
    call_command("merge", *words, "--check", "--json")
    planned = json.loads(capsys.readouterr().out)
    assert [each["value"] for each in planned] == [0.1, 0.5, 0.9]
    assert not Sweep.objects.exists()
    call_command("merge", *words, "--name", "arc", "--user", user.username, "--json")
    data = json.loads(capsys.readouterr().out)
    assert (data["sweep"], data["name"]) == (Sweep.objects.get().pk, "arc")
    assert [(each["value"], each["status"]) for each in data["merges"]] == [
        (0.1, "queued"), (0.5, "queued"), (0.9, "queued"),
    ]  # fmt: skip
    with pytest.raises(CommandError, match="has no number none"):
        call_command("merge", str(file), "--sweep", "none=0:1:1")


def scored(page: Client, user: User, recipe: str) -> tuple[Sweep, Job]:
    """A sweep whose models of 0.1 and 0.5 are made, and a run that can score them."""
    page.post(NEW, form(recipe))
    made = Sweep.objects.get()
    for row in made.merges.filter(value__lt=0.6):
        path = f"{row.job.run_dir}/model"
        keep_made(row.job, Artifact.Kind.HUGGINGFACE, "model", path, size=1)
        Job.objects.filter(pk=row.job_id).update(status=Status.COMPLETED)
    return made, factories.make_job(user, name="<sft>", status=Status.COMPLETED)


def test_models_are_scored_by_the_validation_of_a_run(
    page: Client, user: User, recipe: str
) -> None:
    made, run = scored(page, user, recipe)
    url = made.get_absolute_url()
    assert "&lt;sft&gt; (job" in page.get(url).content.decode()
    assert page.post(url, {"run": run.pk}).status_code == 302
    first, second, third = made.merges.order_by("value")
    assert third.score is None, "its model is not made"
    assert first.score is not None
    assert second.score is not None
    spec = first.score.spec_of_kind
    assert first.score.steps == 1
    changed = {"lr": 0, "steps": 1, "save_freq": -1, "test_freq": -1, "save_contents": "extra",
               "model_path": f"{first.job.run_dir}/model"}  # fmt: skip
    assert spec.values == {**run.spec_of_kind.values, **changed}
    assert first.score.inputs.get(role="model").artifact == first.job.artifacts.get()
    again = page.post(url, {"run": run.pk})
    assert again.status_code == 422
    assert "that has no score by it yet" in again.content.decode()

    factories.add_points(first.score, "val/loss", {1: 0.75})
    factories.add_points(second.score, "val/loss", {1: 0.5})
    text = " ".join(page.get(url).content.decode().split())
    assert "0.5 <strong>lowest</strong>" in text
    assert text.count("lowest") == 1
    Job.objects.filter(pk=second.score.pk).update(status=Status.FAILED)
    assert page.post(url, {"run": run.pk}).status_code == 302
    assert made.merges.get(value=0.5).score != second.score


def test_scores_by_another_run_take_the_place_of_all(page: Client, user: User, recipe: str) -> None:
    made, run = scored(page, user, recipe)
    url = made.get_absolute_url()
    page.post(url, {"run": run.pk})
    first = list(made.merges.values_list("score", flat=True))
    shown = page.get(url).content.decode()
    assert f'<option value="{first[0]}"' not in shown, "a score is no run to score by"
    spec = factories.sft_spec(val_files="/data/other.parquet").to_json()
    other = factories.make_job(user, status=Status.COMPLETED, spec=spec)
    made.merges.get(value=0.5).job.artifacts.get().places.update(gone_at=other.created_at)
    assert page.post(url, {"run": other.pk}).status_code == 302
    found = list(made.merges.order_by("value").values_list("score", flat=True))
    assert found[0] not in (None, first[0])
    assert found[1:] == [None, None], "its score by the first run cannot be compared with this"


def test_a_run_that_could_change_the_weights_scores_nothing(
    page: Client, user: User, other: User, recipe: str
) -> None:
    made, run = scored(page, user, recipe)
    Job.objects.filter(pk=run.pk).update(spec=factories.sft_spec("optim.lr=1").to_json())
    theirs = factories.make_job(other, status=Status.COMPLETED)
    for each in (run.pk, theirs.pk, "x"):
        response = page.post(made.get_absolute_url(), {"run": each})
        assert response.status_code == 422
    assert not made.merges.exclude(score=None).exists()


def test_scores_as_a_command(
    page: Client, user: User, staff: User, recipe: str, capsys: pytest.CaptureFixture[str]
) -> None:
    made, run = scored(page, user, recipe)
    words = [str(made.pk), "--user", user.username]
    with pytest.raises(CommandError, match=f"Such are: {run.pk}"):
        call_command("sweep", *words, "--score", "999")
    call_command("sweep", *words, "--score", str(run.pk), "--json")
    data = json.loads(capsys.readouterr().out)
    assert [each["score_status"] for each in data["merges"]] == ["queued", "queued", None]
    score = made.merges.get(value=0.1).score
    assert score is not None
    factories.add_points(score, "val/loss", {1: 0.75})
    call_command("sweep", *words)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("val/loss 0.75")
    assert lines[1].endswith("its score is queued")
    with pytest.raises(CommandError, match="There is no sweep 999"):
        call_command("sweep", "999")


def test_a_score_that_completed_without_a_value_is_none(
    page: Client, user: User, staff: User, recipe: str, capsys: pytest.CaptureFixture[str]
) -> None:
    made, run = scored(page, user, recipe)
    page.post(made.get_absolute_url(), {"run": run.pk})
    scores = Job.objects.filter(pk__in=made.merges.exclude(score=None).values("score"))
    scores.update(status=Status.COMPLETED)
    measured, unmeasured = scores
    factories.add_points(measured, "val/loss", {1: 0.5})
    with pytest.raises(SystemExit) as ended:
        call_command("sweep", str(made.pk), "--user", user.username, "--wait")
    assert ended.value.code == 1
    told = capsys.readouterr().out
    assert told.count("val/loss 0.5") == 1
    assert told.count("its score completed without a val/loss") == 1
    assert "without a val/loss" in page.get(made.get_absolute_url()).content.decode()
    assert page.post(made.get_absolute_url(), {"run": run.pk}).status_code == 302
    kept = set(made.merges.exclude(score=None).values_list("score", flat=True))
    assert measured.pk in kept
    assert unmeasured.pk not in kept, "it can be made again"


def test_waiting_for_scores_of_which_one_failed_exits_1(
    page: Client, user: User, staff: User, recipe: str, capsys: pytest.CaptureFixture[str]
) -> None:
    made, run = scored(page, user, recipe)
    page.post(made.get_absolute_url(), {"run": run.pk})
    scores = made.merges.exclude(score=None).values("score")
    Job.objects.filter(pk__in=scores).update(status=Status.COMPLETED)
    words = [str(made.pk), "--user", user.username, "--wait", "--json"]
    for each in scores:
        factories.add_points(Job.objects.get(pk=each["score"]), "val/loss", {1: 0.5})
    call_command("sweep", *words)
    Job.objects.filter(pk=scores[0]["score"]).update(status=Status.FAILED)
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        call_command("sweep", *words)
    assert ended.value.code == 1
    data = json.loads(capsys.readouterr().out)
    assert [each["score_status"] for each in data["merges"]] == ["failed", "completed", None]
