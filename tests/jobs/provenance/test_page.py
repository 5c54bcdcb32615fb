"""The page of a run's provenance, its files and its command."""

import io
import json
import re

import pytest
import yaml
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from jobs.models import Job
from jobs.provenance.keeping import keep
from jobs.trackers import accounts
from jobs.verl.trackers import TRACKERS
from tests import factories
from tests.jobs.provenance.conftest import HOSTILE, SOFTWARE, resolved, tell
from tests.pages import HTMX, asks_for_login, queries, refuses_other_methods


def url(job: Job, more: str = "") -> str:
    return f"/jobs/{job.pk}/provenance/{more}"


def text_of(page: Client, address: str, **options: object) -> str:
    response = page.get(address, **options)  # type: ignore[arg-type]
    assert response.status_code == 200
    return str(response.content.decode())


def keys_in(text: str) -> list[str]:
    return re.findall(r'title="Copy ([^"]+)"', text)


def test_it_shows_what_the_run_was_made_with(page: Client, told: Job) -> None:
    text = text_of(page, url(told))
    for words in (
        "0.9.1", "commit 0123456789ab", "built for CUDA 12.8", "not the one that Trainyard had",
        "8 NVIDIA H200 of 140 GiB", "570.1", "96 EPYC", "1.0 TiB", "torch==2.9.0",
        'data-copy-text="optim.lr=0.5"', "not 0.001", "are not the default of verl 0.9.1",
    ):  # fmt: skip
        assert words in text
    assert "&lt;script&gt;" in text
    assert HOSTILE not in text
    assert "hide-me" not in text
    assert "<details open>" not in text


def test_a_search_unfolds_its_hits_alone(page: Client, told: Job) -> None:
    part = text_of(page, url(told, "?q=optim+lr"), headers=HTMX)
    assert part.strip().startswith('<div id="config-tree"')
    assert "optim.lr" in keys_in(part)
    assert all("lr" in key and "optim" in key for key in keys_in(part))
    assert "<details open>" in part
    whole = text_of(page, url(told, "?q=optim+lr"))
    assert keys_in(whole) == keys_in(part)
    assert "<h1>" in whole


def test_only_what_is_not_the_default(page: Client, told: Job) -> None:
    part = text_of(page, url(told, "?only=differs"), headers=HTMX)
    assert set(map(plain, keys_in(part))) == {"optim.lr", "trainer.api_key", "mine", HOSTILE}
    assert "No key and no value" in text_of(page, url(told, "?q=zzz"), headers=HTMX)


def plain(text: str) -> str:
    return text.replace("&lt;", "<").replace("&gt;", ">")


def test_secrets_of_its_owner_are_in_no_answer(page: Client, user: User) -> None:
    accounts.keep(user, TRACKERS["wandb"], {"WANDB_API_KEY": "0123456789-the-key"})
    spec = factories.sft_spec(loggers="wandb").to_json()
    job = factories.make_job(user, spec=spec, status="completed")
    tell(job, resolved(trainer__project_name="x0123456789-the-keyx"), host="0123456789-the-key")
    for address in (
        url(job), url(job, "?q=the-key"), f"/jobs/{job.pk}/provenance.json",
        f"/jobs/{job.pk}/config.json", f"/jobs/{job.pk}/config.yaml", job.get_absolute_url(),
    ):  # fmt: skip
        assert "the-key" not in text_of(page, address).replace('value="the-key"', "")
    assert "x***x" in text_of(page, url(job))


def test_the_files_have_all_of_it(page: Client, told: Job) -> None:
    response = page.get(f"/jobs/{told.pk}/config.json")
    config = json.loads(response.content)
    assert config["optim"]["lr"] == 0.5
    assert config["trainer"]["api_key"] == "***"
    assert f'filename="job-{told.pk}-attempt-1-config.json"' in response["Content-Disposition"]
    assert yaml.safe_load(page.get(f"/jobs/{told.pk}/config.yaml").content) == config
    whole = json.loads(page.get(f"/jobs/{told.pk}/provenance.json").content)
    (attempt,) = whole["attempts"]
    assert attempt["software"]["packages"] == SOFTWARE["packages"]
    assert sorted(attempt["not_default"]) == sorted(
        ["optim.lr", "trainer.api_key", "mine", HOSTILE]
    )
    assert page.get(f"/jobs/{told.pk}/config.exe").status_code == 404


def test_each_attempt_has_its_own_and_says_what_changed(page: Client, told: Job) -> None:
    Job.objects.filter(pk=told.pk).update(attempt=2)
    told.refresh_from_db()
    packages = {"packages": {"torch": "2.10.0", "verl": "0.9.1"}}
    tell(told, resolved(optim__lr=0.25), **packages)
    text = re.sub(r"\s+", " ", text_of(page, url(told)))
    assert "Different from attempt 1" in text
    changes = text.split("<tbody>")[1].split("</tbody>")[0]
    rows = [re.sub(r"<[^>]+>", "", row).split() for row in changes.split("</tr>")[:-1]]
    assert ["Configuration", "optim.lr", "0.5", "0.25"] in rows
    assert ["Package", "torch", "2.9.0", "2.10.0"] in rows
    assert ["Software", "PyTorch", "2.9.0", "2.10.0"] in rows
    assert not [row for row in rows if row[1] == "verl"]
    first = text_of(page, url(told, "?attempt=1"))
    assert "optim.lr=0.5" in first
    assert "Different from" not in first
    for wrong in ("3", "0"):
        assert page.get(url(told, f"?attempt={wrong}")).status_code == 404


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"status": "draft"}, "It has not started."),
        ({"status": "running", "started_at": timezone.now()}, "The run has told nothing yet"),
        ({"status": "completed", "started_at": timezone.now()}, "it was started before"),
        (
            {"status": "completed", "kind": "imported", "spec": {"tool": "wandb"}},
            "recorded elsewhere and imported",
        ),
    ],
)
def test_what_is_unknown_is_said(
    page: Client, user: User, fields: dict[str, object], said: str
) -> None:
    job = factories.make_job(user, **fields)
    text = text_of(page, url(job))
    assert said in text
    assert 'id="config-tree"' not in text
    assert page.get(f"/jobs/{job.pk}/config.json").status_code == 404
    assert url(job) in text_of(page, job.get_absolute_url())


def test_of_an_imported_run_it_shows_what_its_tool_recorded(page: Client, user: User) -> None:
    spec = {"tool": "W&B", "config": {"optim.lr": 0.5, "wandb": {"api_key": "hide-me"}}}
    job = factories.make_job(user, kind="imported", status="completed", spec=spec)
    text = text_of(page, url(job))
    assert "recorded elsewhere and imported" in text
    assert "Configuration as its tool recorded it" in text
    assert keys_in(text) == ["optim.lr", "wandb.api_key"]
    assert "hide-me" not in text
    job.spec = {"tool": "x", "config": [HOSTILE]}
    job.save()
    assert "config-tree" not in text_of(page, url(job))


def test_whatever_a_run_told_the_page_is_there(page: Client, user: User) -> None:
    job = factories.make_job(user, status="completed")
    now = timezone.now()
    keep(job, "platform", now, {"version": [], "recipe": "x", "node": 5})
    keep(job, "software", now, {"packages": [1], "torch": 3, "node": "x", "commits": None})
    keep(job, "hardware", now, {"gpus": {"a": 1}, "cpus": "many", "memory": -1, "host": ["x"]})
    keep(job, "config", now, {"name": ["x"], "config": {"a": {"b": [1]}}, "left_out": 7})
    text = text_of(page, url(job))
    assert "told more than is kept of: config" in text
    assert "verl's defaults is unknown here" in text
    keep(job, "hardware", now, {"gpus": [3, {"name": None}]})
    keep(job, "config", now, {"config": [1]})
    assert text_of(page, url(job))


def test_a_page_of_a_huge_configuration_is_small(page: Client, user: User) -> None:
    job = factories.make_job(user, status="completed")
    config = {f"<{'k' * 150}{n}>": "<" * 9000 for n in range(3000)}
    tell(job, config, packages={f"{'p' * 150}{n}": "<" * 9000 for n in range(3000)})
    text = text_of(page, url(job))
    assert len(text) < 1024 * 1024
    assert "not shown: search, or take the file" in text
    assert "And 2000 more" in text


def test_it_is_for_those_who_see_the_job(page: Client, told: Job) -> None:
    for address in (url(told), f"/jobs/{told.pk}/provenance.json", f"/jobs/{told.pk}/config.json"):
        assert asks_for_login(address)
        assert refuses_other_methods(page, address, "get")
        other = Client()
        other.force_login(factories.make_user())
        assert other.get(address).status_code == 404


def test_as_many_queries_for_three_attempts_as_for_one(page: Client, told: Job) -> None:
    one = queries(page, url(told))
    for attempt in (2, 3):
        told.attempt = attempt
        told.save()
        tell(told, resolved())
    assert queries(page, url(told)) == one


def test_the_command_says_the_same(told: Job) -> None:
    out = io.StringIO()
    call_command("provenance", told.pk, stdout=out)
    assert "optim.lr = 0.5  (default 0.001)" in out.getvalue()
    assert "hide-me" not in out.getvalue()
    out = io.StringIO()
    call_command("provenance", told.pk, "--search", "optim betas", stdout=out)
    assert "optim.betas" in out.getvalue()
    assert "optim.lr =" not in out.getvalue()
    out = io.StringIO()
    call_command("provenance", told.pk, "--json", stdout=out)
    assert json.loads(out.getvalue())["attempts"][0]["config"]["optim"]["lr"] == 0.5
    with pytest.raises(CommandError, match="has no attempt 7"):
        call_command("provenance", told.pk, "--attempt", "7")
