"""From the pages of LoRA, or their command, to the jobs that merge adapters and extract them."""

import html
import json
import uuid as uuids
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client

from compute.machines.local import local_machine
from jobs.artifacts.keeping import keep_products
from jobs.kinds.base import End
from jobs.kinds.export import ExportSpec
from jobs.models import Artifact, Job, Status
from jobs.process import Placement
from surgery.kinds.lora import LoraExtract, LoraExtractSpec, LoraMerge, LoraMergeSpec
from tests import factories
from tests.pages import asks_for_login, refuses_other_methods
from tests.surgery.models import adapter, artifact_at, kept, model

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("queue")]
MERGE, EXTRACT = "/surgery/lora/merge/", "/surgery/lora/extract/"
PLACE = Placement("/w/attempt-1", "/python", "a-run")


def form(**fields: object) -> dict[str, object]:
    given = {"uuid": uuids.uuid4(), "action": "start", "machine": local_machine().pk}
    return given | fields


@pytest.fixture
def base(user: User, home: Path) -> str:
    return str(model(user, home / "base"))


@pytest.fixture
def tuned(user: User, home: Path) -> str:
    return str(model(user, home / "tuned"))


@pytest.fixture
def lora(user: User, home: Path) -> str:
    return str(adapter(user, home / "lora"))


def test_adapters_become_a_job_that_merges_them(page: Client, base: str, lora: str) -> None:
    data = form(base=base, adapters=[lora], weights="0.5")
    for _ in range(2):
        response = page.post(MERGE, data)
    job = Job.objects.get(kind="lora_merge")
    assert response.headers["Location"] == job.get_absolute_url()
    assert (job.name, job.status) == ("made base with an adapter", Status.QUEUED)
    assert job.spec_of_kind.to_node() == {
        "base": base, "adapters": [{"path": lora, "weight": 0.5}],
    }  # fmt: skip
    assert sorted((each.role, str(each.artifact)) for each in job.inputs.all()) == [
        ("adapter", "lora"), ("base", "base"),
    ]  # fmt: skip


def test_two_models_become_a_job_that_extracts_an_adapter(
    page: Client, base: str, tuned: str
) -> None:
    response = page.post(EXTRACT, form(base=base, tuned=tuned, energy="0.9", keep="on"))
    job = Job.objects.get(kind="lora_extract")
    assert response.headers["Location"] == job.get_absolute_url()
    assert job.spec_of_kind.to_node() == {
        "base": base, "tuned": tuned, "energy": 0.9, "keep": True,
    }  # fmt: skip
    assert sorted(each.role for each in job.inputs.all()) == ["base", "source"]


def test_an_adapter_that_was_made_is_offered_to_merge(page: Client, user: User) -> None:
    spec = LoraExtractSpec("/m/a", "/m/b", rank=8).to_json()
    job = factories.make_job(user, kind="lora_extract", spec=spec, status=Status.COMPLETED)
    keep_products(job, {"made": {"bytes": 7, "digest": "a" * 64}})
    made = Artifact.objects.get(job=job)
    assert (made.kind, made.has_model, made.size) == (Artifact.Kind.ADAPTER, False, 7)
    detail = page.get(made.get_absolute_url()).content.decode()
    assert f'href="{MERGE}?from={made.pk}"' in detail
    shown = page.get(f"{MERGE}?from={made.pk}").content.decode()
    assert f'<option value="{job.run_dir}/adapter" selected>' in shown
    response = page.get(f"/jobs/new/on/{made.pk}/", follow=True).content.decode()
    assert "no whole model" in response  # nothing trains on an adapter alone


def test_an_export_that_kept_its_adapter_is_offered(page: Client, user: User, home: Path) -> None:
    for name, keeps in (("with", True), ("without", False)):
        spec = ExportSpec(7, 20, "/x", keep_adapter=keeps).to_json()
        job = factories.make_job(user, kind="export", spec=spec, status=Status.COMPLETED)
        (home / name).mkdir()
        kept(job, home / name, Artifact.Kind.HUGGINGFACE)
    adapters = page.get(MERGE).content.decode().split('name="adapters"')[1].split("</select>")[0]
    assert f'value="{home}/with"' in adapters
    assert f'value="{home}/without"' not in adapters


WRONG_MERGES: list[tuple[dict[str, object], str, str]] = [
    ({"base": ""}, "base", "Choose a model"),
    ({"base_path": "/x"}, "base_path", "not both"),
    ({"base": "", "base_path": "/etc"}, "base_path", "outside the allowed folders"),
    ({"adapters": []}, "adapters", "from 1 to 64 adapters, not 0"),
    ({"more_adapters": "/etc"}, "adapters", "outside the allowed folders"),
    ({"weights": "1 2"}, "weights", "2 weights for 1 adapters"),
    ({"weights": "x"}, "weights", "x is no number"),
    ({"weights": "nan"}, "weights", "from -1000 to 1000"),
    ({"dtype": "int8"}, "dtype", "Select a valid choice"),
]
WRONG_EXTRACTIONS: list[tuple[dict[str, object], str, str]] = [
    ({"tuned": ""}, "tuned", "Choose a model"),
    ({"rank": ""}, "rank", "Give a rank or a share"),
    ({"energy": "0.5"}, "rank", "and not both"),
    ({"rank": "0"}, "rank", "greater than or equal to 1"),
    ({"rank": "", "energy": "0"}, "energy", "above 0"),
    ({"rank": "", "energy": "1.5"}, "energy", "less than or equal to 1"),
    ({"rank": "1.5"}, "rank", "whole number"),
]


def error_at(page: Client, url: str, data: dict[str, object], field: str) -> str:
    response = page.post(url, data)
    assert response.status_code == 422
    text = html.unescape(response.content.decode())
    return text.split(f'id="error-{field}"')[1].split("</p>")[0]


@pytest.mark.parametrize(("fields", "field", "said"), WRONG_MERGES)
def test_what_is_wrong_with_a_merge(
    page: Client, base: str, lora: str, fields: dict[str, object], field: str, said: str
) -> None:
    assert said in error_at(page, MERGE, form(base=base, adapters=[lora]) | fields, field)
    assert not Job.objects.filter(kind="lora_merge").exists()


@pytest.mark.parametrize(("fields", "field", "said"), WRONG_EXTRACTIONS)
def test_what_is_wrong_with_an_extraction(
    page: Client, base: str, tuned: str, fields: dict[str, object], field: str, said: str
) -> None:
    data = form(base=base, tuned=tuned, rank="8") | fields
    assert said in error_at(page, EXTRACT, data, field)
    assert not Job.objects.filter(kind="lora_extract").exists()


def test_what_lies_on_the_disk_is_looked_at(
    page: Client, user: User, other: User, base: str, lora: str, home: Path
) -> None:
    wide = str(model(user, home / "wide", hidden_size=16))
    data = form(base=base, tuned=wide, rank="8")
    assert "differ in hidden_size" in error_at(page, EXTRACT, data, "tuned")
    data = form(base=base, tuned=base, rank="8")
    assert "This is the base model" in error_at(page, EXTRACT, data, "tuned")
    data = form(base=base, more_adapters=base)
    assert "it has no adapter_config.json" in error_at(page, MERGE, data, "adapters")
    data = form(base=base, more_adapters=str(adapter(other, home / "theirs")))
    assert "no model of yours" in error_at(page, MERGE, data, "adapters")


def test_the_forms_have_artifacts_chosen(page: Client, base: str, tuned: str, lora: str) -> None:
    ids = [artifact_at(Path(path)).pk for path in (base, tuned, lora)]
    shown = page.get(f"{MERGE}?from={ids[0]}&from={ids[2]}").content.decode()
    assert f'<option value="{base}" selected>' in shown
    assert f'<option value="{lora}" selected>' in shown
    shown = page.get(f"{EXTRACT}?from={ids[0]}&from={ids[1]}").content.decode()
    assert f'<option value="{base}" selected>' in shown
    assert f'<option value="{tuned}" selected>' in shown
    for first, second in ((0, 1), (1, 0)):  # the order of the address, whichever was made first
        both = page.get(f"{EXTRACT}?from={ids[first]}&from={ids[second]}").context["form"]
        assert [both["base"].value(), both["tuned"].value()] == [
            [base, tuned][each] for each in (first, second)
        ]


@pytest.mark.parametrize("url", [MERGE, EXTRACT])
def test_who_may_and_how(page: Client, url: str) -> None:
    assert asks_for_login(url)
    assert refuses_other_methods(page, url, "get", "post")


def test_the_command(staff: User, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base, tuned = str(model(staff, home / "a")), str(model(staff, home / "b"))
    lora = str(adapter(staff, home / "lora"))
    call_command("lora", "merge", base, "--adapters", lora, "--check", "--json")
    told = json.loads(capsys.readouterr().out)
    assert told["adapters"] == [{"path": lora, "weight": 1.0}]
    assert not Job.objects.filter(kind="lora_merge").exists()
    call_command("lora", "merge", base, "--adapters", lora, "--json")
    made = json.loads(capsys.readouterr().out)
    assert made["id"] == Job.objects.get(kind="lora_merge").pk
    call_command("lora", "extract", base, tuned, "--rank", "4", "--json")
    made = json.loads(capsys.readouterr().out)
    assert made["id"] == Job.objects.get(kind="lora_extract").pk
    for argv, said in (
        (["merge", base], "from 1 to 64"),
        (["merge", base, "--adapters", lora, "--rank", "4"], "rank goes with lora extract"),
        (["extract", base, tuned, "--weights", "1"], "weights goes with lora merge"),
        (["extract", base, tuned], "Give a rank"),
    ):
        with pytest.raises(CommandError, match=said):
            call_command("lora", *argv)


def test_the_processes_and_what_their_ends_are_worth() -> None:
    merge = LoraMergeSpec("/m/a", [{"path": "/m/lora", "weight": 1.0}], "float32")
    assert LoraMerge().command(merge, PLACE, {}).argv[2:5] == (
        "trainyard_node.lora", "merge", "--text",
    )  # fmt: skip
    extract = LoraExtractSpec("/m/a", "/m/b", rank=8)
    argv = LoraExtract().command(extract, PLACE, {}).argv
    assert argv[-2:] == ("--out", "/w/attempt-1/adapter")
    assert json.loads(argv[5]) == {"base": "/m/a", "tuned": "/m/b", "rank": 8}
    done = LoraExtract().judge(extract, End(0, said={"made": {"error": 0.0625}}))
    assert done.reason == "The adapter is made: what it lacks is 0.0625 of the change."
    assert LoraExtract().judge(extract, End(1, said={"made": {}})).status == "failed"
    assert LoraExtract().leaves_no_model(extract) == "LoRA extraction makes no model"
