"""Whether a job fits: in its form, among the recipes, in the list, and by command."""

import json
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import Client
from django.utils import timezone

from compute.models import Machine
from compute.sizing.answer import Estimate
from datasets.models import Version
from jobs.fit import badge as fit_badge
from jobs.fit.services import estimate_of
from jobs.models import Job
from jobs.order import shelf
from jobs.order.forms import form_data
from jobs.verl.recipes import all_recipes
from platform_site.work.models import State
from tests import factories
from tests.pages import HTMX, asks_for_login, queries, refuses_other_methods

pytestmark = pytest.mark.usefixtures("queue")
URL = "/jobs/new/grpo-7b/fit/"
SMALL, LARGE = "Qwen/Qwen2.5-7B-Instruct", "meta-llama/Llama-3.1-405B-Instruct"
GPU = {"name": "NVIDIA H100 80GB HBM3", "memory_total": 85_520_809_984}


@pytest.fixture
def box(db: None) -> Machine:
    machine = factories.make_ssh_machine(name="box", python="/venv/bin/python")
    gpus = [GPU | {"index": index} for index in range(8)]
    machine.samples.create(at=timezone.now(), data={"cpu_percent": 1, "gpus": gpus})
    return machine


def asked(box: Machine, **changes: str) -> dict[str, str]:
    form = form_data(all_recipes()["grpo-7b"], "", [])
    return {name: str(value) for name, value in form.items()} | {"machine": str(box.pk)} | changes


def badge(page: Client, data: dict[str, str], **options: Any) -> str:
    answer = page.post(URL, data, headers=HTMX, **options)
    assert answer.status_code == 200
    return " ".join(answer.content.decode().split())


def test_the_form_is_told_that_it_fits_and_why(page: Client, box: Machine) -> None:
    content = badge(page, asked(box, model_path=SMALL))
    assert ">Fits</span>" in content
    assert 'id="fit-ledger" hx-swap-oob="innerHTML"' in content
    assert '<svg class="stacked"' in content
    assert "By the estimate" not in content
    assert "<html" not in content


def test_the_form_is_warned_that_it_does_not_fit(page: Client, box: Machine) -> None:
    content = badge(page, asked(box, model_path=LARGE))
    assert ">Does not fit</span>" in content
    assert "By the estimate it does not fit: a GPU needs" in content


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"model_path": "nobody/has-this"}, "is not in this machine&#x27;s Hugging Face cache"),
        ({"model_path": ""}, "No model is named yet."),
        ({"model_path": SMALL, "gpus": "7"}, "does not divide"),
        ({"model_path": SMALL, "machine": "no"}, "has no GPU that is known"),
    ],
)
def test_what_is_not_known_is_said_and_not_guessed(
    page: Client, box: Machine, changes: dict[str, str], says: str
) -> None:
    content = badge(page, asked(box, **changes))
    assert ">Fit not known</span>" in content
    assert says in content
    assert "GiB" not in content


def test_a_run_on_the_cpu_has_no_badge(page: Client, box: Machine) -> None:
    content = badge(page, asked(box, device="cpu"))
    assert "no estimate" in content
    assert "not known" not in content


def test_without_htmx_it_is_a_page(page: Client, box: Machine) -> None:
    content = page.post(URL, asked(box, model_path=LARGE)).content.decode()
    assert "<h1>Does it fit?</h1>" in content
    assert "By the estimate it does not fit" in content
    assert '<svg class="stacked"' in content


def test_the_form_does_not_wait_for_it(page: Client, box: Machine) -> None:
    content = page.get("/jobs/new/grpo-7b/").content.decode()
    assert f'hx-post="{URL}"' in content
    assert "stacked" not in content


def test_each_job_of_the_list_that_has_not_ended(page: Client, box: Machine, user: Any) -> None:
    def job(**fields: Any) -> Job:
        spec = factories.sft_spec(
            model_path=SMALL, gpus=8, device=fields.pop("device", "cuda"), micro_batch_size=1
        )
        return factories.make_job(user, machine=box, gpus=8, spec=spec.to_json(), **fields)

    draft, ended, on_cpu = job(), job(status="completed"), job(device="cpu")
    theirs = factories.make_job(machine=box, gpus=8)
    pks: list[int] = [draft.pk, ended.pk, on_cpu.pk, theirs.pk]
    content = page.get("/jobs/fits/", {"job": [*map(str, pks), "x", "9" * 30]}).content.decode()
    assert [pk for pk in pks if f'id="fit-{pk}"' in content] == [draft.pk]
    assert ">Fits</span>" in content
    listed = page.get("/jobs/").content.decode()
    assert f'<span id="fit-{draft.pk}">' in listed
    assert f'<span id="fit-{ended.pk}">' not in listed


def test_each_recipe_that_can_run_here_on_gpus(page: Client, box: Machine) -> None:
    content = page.get("/jobs/fits/recipes/").content.decode()
    assert 'id="fit-grpo-7b"' in content
    assert 'id="fit-sample-grpo"' not in content
    assert '<span id="fit-grpo-7b">' in page.get("/jobs/new/").content.decode()


def test_login_methods_and_queries(page: Client, box: Machine) -> None:
    assert refuses_other_methods(page, URL, "post")
    for url in ("/jobs/fits/", "/jobs/fits/recipes/"):
        assert asks_for_login(url)
        assert refuses_other_methods(page, url, "get")
    assert page.post("/jobs/new/no-such/fit/", {}).status_code == 404


def trained_on(box: Machine, user: Any, version: Version, **values: Any) -> Job:
    files = {"train_files": version.train_file, "val_files": version.val_file}
    asked = {"model_path": SMALL, "gpus": 8, "device": "cuda", "micro_batch_size": 1, **files}
    spec = factories.sft_spec(**asked | values)
    return factories.make_job(user, machine=box, gpus=8, spec=spec.to_json())


@pytest.mark.parametrize("together", [False, True])
def test_many_jobs_take_as_many_queries_as_one(
    page: Client, box: Machine, user: Any, together: bool
) -> None:
    machine = factories.make_group(box) if together else box
    version = factories.make_version()
    counted = {"lengths": {"counted": 10, "mean": 321.5, "max": 900}}
    version.reports.create(model=SMALL, state=State.DONE, data=counted)
    jobs = [trained_on(machine, user, version, lr=rate) for rate in (1e-5, 2e-5, 3e-5)]
    factories.make_outcome(jobs[0])
    shown = [f"/jobs/fits/?job={'&job='.join(str(job.pk) for job in jobs[:n])}" for n in (1, 3)]
    assert [page.get(url).content.decode().count(">Fits</span>") for url in shown] == [1, 3]
    assert queries(page, shown[0]) == queries(page, shown[1])


def test_many_recipes_take_as_many_queries_as_one(
    page: Client, box: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = all_recipes()["grpo-7b"]
    recipe = replace(recipe, values={**recipe.values, "model_path": SMALL})
    asked = []
    for count in (1, 3):
        recipes = {slug: replace(recipe, slug=slug) for slug in ("one", "two", "three")[:count]}
        monkeypatch.setattr(shelf, "all_recipes", lambda recipes=recipes: recipes)
        content = page.get("/jobs/fits/recipes/").content.decode()
        assert content.count(">Fits</span>") == count
        asked.append(queries(page, "/jobs/fits/recipes/"))
    assert asked[0] == asked[1]


def test_a_job_that_fails_leaves_the_others_their_badges(
    page: Client,
    box: Machine,
    user: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    version = factories.make_version()
    good, bad = (trained_on(box, user, version, lr=rate) for rate in (1e-5, 2e-5))

    def estimate(spec: Any, *others: Any) -> Estimate:
        if spec == bad.spec_of_kind:
            raise ZeroDivisionError("no layers")
        return estimate_of(spec, *others)

    monkeypatch.setattr(fit_badge, "estimate_of", estimate)
    content = page.get("/jobs/fits/", {"job": [good.pk, bad.pk]}).content.decode()
    badges = {int(part.split('"')[0]): part for part in content.split('<span id="fit-')[1:]}
    assert badges.keys() == {good.pk, bad.pk}
    assert ">Fits</span>" in badges[good.pk]
    assert ">Fit not known</span>" in badges[bad.pk]
    assert "The estimate failed. The log says why." in badges[bad.pk]
    assert "ZeroDivisionError: no layers" in caplog.text


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """The estimate of every job raises what nobody thought of."""

    def estimate(*_: Any) -> Estimate:
        raise ZeroDivisionError("no layers")

    monkeypatch.setattr(fit_badge, "estimate_of", estimate)


def test_the_form_is_told_that_the_estimate_failed(
    page: Client, box: Machine, broken: None, caplog: pytest.LogCaptureFixture
) -> None:
    content = badge(page, asked(box, model_path=SMALL))
    assert ">Fit not known</span>" in content
    assert "<span>The estimate failed. The log says why.</span>" in content
    assert "ZeroDivisionError: no layers" in caplog.text


def the_job_of(answer: Any) -> tuple[Job, str]:
    """The one job that a form made, and the page that it leads to."""
    job = Job.objects.get()
    assert (answer.status_code, answer.headers["Location"]) == (302, job.get_absolute_url())
    return job, answer.client.get(job.get_absolute_url()).content.decode()


def test_a_submit_goes_on_though_the_estimate_failed(
    page: Client, box: Machine, home: Path, broken: None, caplog: pytest.LogCaptureFixture
) -> None:
    rows = str(factories.write_sft_rows(home / "rows.parquet", 512))
    form = form_data(all_recipes()["sft"], "", [])
    data = {name: str(value) for name, value in form.items()} | {
        "machine": str(box.pk), "model_path": SMALL, "train_files": rows, "val_files": rows,
    }  # fmt: skip
    job, shown = the_job_of(page.post("/jobs/new/sft/", data | {"action": "start"}))
    assert job.status == "queued"
    assert "The estimate failed. The log says why." in shown
    assert "ZeroDivisionError: no layers" in caplog.text
    Job.objects.update(status="draft")
    data |= {"revision": str(job.revision), "action": "start"}
    job, shown = the_job_of(page.post(f"/jobs/{job.pk}/edit/", data))
    assert job.status == "queued"
    assert "The estimate failed. The log says why." in shown


def command(home: Path, model: str, *more: str) -> tuple[dict[str, Any], str]:
    rows = factories.write_sft_rows(home / "rows.parquet", 512)
    out, told = StringIO(), StringIO()
    call_command(
        "submit", "sft", "--set", "machine=box", "--set", f"model_path={model}",
        "--set", f"train_files={rows}", "--set", f"val_files={rows}", *more, "--json",
        stdout=out, stderr=told,
    )  # fmt: skip
    return json.loads(out.getvalue()), told.getvalue()


def test_submit_warns_of_a_job_that_does_not_fit(staff: object, box: Machine, home: Path) -> None:
    told, warned = command(home, LARGE)
    assert "By the estimate it does not fit" in warned
    assert any("does not fit" in warning["message"] for warning in told["warnings"])
    assert Job.objects.get().status == "queued"


@pytest.mark.parametrize(
    ("model", "says"), [(LARGE, "does not fit"), ("nobody/has-this", "is not known")]
)
def test_submit_with_fit_starts_nothing_that_does_not(
    staff: object, box: Machine, home: Path, model: str, says: str
) -> None:
    with pytest.raises(CommandError, match=says):
        command(home, model, "--fit")
    assert not Job.objects.exists()


def test_submit_with_fit_starts_what_fits(staff: object, box: Machine, home: Path) -> None:
    told, warned = command(home, "Qwen/Qwen2.5-0.5B-Instruct", "--fit")
    assert "By the estimate" not in warned
    assert told["status"] == "queued"


def test_submit_goes_on_though_the_estimate_failed(
    staff: object, box: Machine, home: Path, broken: None
) -> None:
    told, warned = command(home, SMALL)
    assert "The estimate failed. The log says why." in warned
    assert told["status"] == "queued"


def test_submit_with_fit_starts_nothing_when_the_estimate_failed(
    staff: object, box: Machine, home: Path, broken: None
) -> None:
    with pytest.raises(CommandError, match=r"Nothing was started: The estimate failed\."):
        command(home, SMALL, "--fit")
    assert not Job.objects.exists()


def test_what_is_full_besides_the_gpu_is_named(page: Client, box: Machine) -> None:
    sample = box.samples.get()
    sample.data |= {"memory_total": 2**30}
    sample.save()
    content = badge(page, asked(box, model_path=SMALL))
    assert "By the estimate it does not fit. A machine needs" in content
