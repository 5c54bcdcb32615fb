import html
import io
import json
import re

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client

from jobs.models import Job
from jobs.process import Command, Setting
from monitoring.compare import views
from platform_site.templatetags.ui import MISSING
from tests import factories
from tests.jobs.provenance.conftest import resolved, tell
from tests.pages import HTMX, asks_for_login, queries, refuses_other_methods

URL = "/jobs/compare/"


def make(user: User, name: str, *overrides: str, **values: object) -> Job:
    return factories.make_job(
        user, name=name, spec=factories.sft_spec(*overrides, **values).to_json()
    )


@pytest.fixture
def two(user: User) -> tuple[Job, Job]:
    return make(user, "one", lr=0.25, weight_decay=0.5), make(
        user, "two", "data.num_workers=3", lr=0.5
    )


def rows(content: bytes) -> dict[str, list[str]]:
    """The cells of each setting's row, by its label, in the order of the page."""
    body = content.decode().split('id="comparison"')[1].split("</tbody>")[1]
    found = {}
    for row in re.findall(r"<tr.*?</tr>", body, re.DOTALL):
        label, *cells = re.findall(r"<t[hd].*?>(.*?)</t[hd]>", row, re.DOTALL)
        found[plain(label)] = [plain(cell) for cell in cells]
    return found


def plain(markup: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", markup).split())


def test_shows_the_differences_the_important_ones_first(page: Client, two: tuple[Job, Job]) -> None:
    response = page.get(f"{URL}?a={two[0].pk}&b={two[1].pk}")
    assert response.status_code == 200
    assert rows(response.content) == {
        "Learning rate optim.lr": ["0.25", "0.5"],
        "Weight decay optim.weight_decay": ["0.5", "verl's default (0.01)"],
        "Override data.num_workers": [MISSING, "3"],
    }


def test_shows_what_became_of_them(page: Client, user: User) -> None:
    one = factories.make_job(user, name="one", status="completed", step=3, steps=3)
    two = factories.make_job(user, name="two", status="failed", step=1, steps=3)
    content = page.get(f"{URL}?job={one.pk}&job={two.pk}").content.decode()
    assert content.index('data-status="completed"') < content.index('data-status="failed"')
    assert "3 of 3" in content
    assert "1 of 3" in content
    assert f'href="/jobs/{one.pk}/"' in content


def test_all_settings_when_asked(page: Client, two: tuple[Job, Job]) -> None:
    query = f"job={two[0].pk}&job={two[1].pk}"
    found = rows(page.get(f"{URL}?{query}&all=1").content)
    assert next(iter(found)).startswith("Learning rate differs")
    assert found["Batch size rows data.train_batch_size"] == ["64", "64"]
    assert len(found) > 20
    assert f'href="?{query}&all=1"' in html.unescape(page.get(f"{URL}?{query}").content.decode())
    assert f'href="?{query}"' in html.unescape(page.get(f"{URL}?{query}&all=1").content.decode())


def test_htmx_is_given_the_table_alone(page: Client, two: tuple[Job, Job]) -> None:
    response = page.get(f"{URL}?a={two[0].pk}&b={two[1].pk}", headers=HTMX)
    assert b'id="comparison"' in response.content
    assert b"<html" not in response.content


def test_of_many_jobs_the_settings_follow_once_they_are_looked_at(page: Client, user: User) -> None:
    jobs = [make(user, f"run {n}", lr=0.25 + n) for n in range(views.AT_ONCE + 1)]
    url = f"{URL}?{'&'.join(f'job={job.pk}' for job in jobs)}"
    content = html.unescape(page.get(url).content.decode())
    assert f'hx-get="{url}"' in content
    assert f'<a href="{url.removeprefix(URL)}&all=1">' in content  # without JavaScript
    assert "Settings by job" not in content
    lrs = [f"{0.25 + n:g}" for n in range(views.AT_ONCE + 1)]
    assert rows(page.get(url, headers=HTMX).content)["Learning rate optim.lr"] == lrs
    assert "Settings by job" in page.get(f"{url}&all=1").content.decode()
    fewer = url.rpartition("&")[0]
    assert "Settings by job" in page.get(fewer).content.decode()


def test_equal_jobs(page: Client, user: User) -> None:
    jobs = [make(user, "x"), make(user, "x")]
    content = page.get(f"{URL}?job={jobs[0].pk}&job={jobs[1].pk}").content.decode()
    assert "These jobs set the same throughout." in content


def test_one_job_asks_for_a_second(page: Client, two: tuple[Job, Job]) -> None:
    content = page.get(f"{URL}?job={two[0].pk}").content.decode()
    assert "Choose a second job" in content
    assert f'<option value="{two[1].pk}">' in content
    assert f'<option value="{two[0].pk}">' not in content


def test_none_leads_to_the_list(page: Client) -> None:
    content = page.get(URL).content.decode()
    assert "Choose two jobs" in content
    assert 'href="/jobs/"' in content


def test_the_same_job_twice_is_one(page: Client, two: tuple[Job, Job]) -> None:
    assert b"Choose a second job" in page.get(f"{URL}?a={two[0].pk}&b={two[0].pk}").content


@pytest.mark.parametrize("query", ["job=x", "job=99999", "job=-1", f"job={2**70}", "a=1&b=%00"])
def test_what_names_no_job_is_left_out_and_said(
    page: Client, two: tuple[Job, Job], query: str
) -> None:
    content = page.get(f"{URL}?job={two[0].pk}&{query}").content.decode()
    assert "Left out, since there is no such job or it is not yours" in content
    assert "Choose a second job" in content


def test_someone_elses_job_is_left_out(page: Client, two: tuple[Job, Job], other: User) -> None:
    theirs = make(other, "theirs")
    content = page.get(f"{URL}?job={two[0].pk}&job={theirs.pk}&job={two[1].pk}").content
    assert f"it is not yours: {theirs.pk}." in content.decode()
    assert b"theirs" not in content
    assert rows(content)["Learning rate optim.lr"] == ["0.25", "0.5"]


def test_a_hostile_value_shows_as_written(page: Client, user: User) -> None:
    jobs = [make(user, "x", model_path="<script>alert(1)</script>"), make(user, "y")]
    content = page.get(f"{URL}?job={jobs[0].pk}&job={jobs[1].pk}").content
    assert b"<script>alert" not in content


def test_a_job_whose_settings_make_no_command_is_compared_all_the_same(
    page: Client, user: User, two: tuple[Job, Job]
) -> None:
    odd = make(user, "odd", variant=3)
    Job.objects.filter(pk=odd.pk).update(kind="grpo", spec={"values": {"variant": "no such"}})
    assert page.get(f"{URL}?job={odd.pk}&job={two[0].pk}").status_code == 200


def test_what_verl_made_of_the_settings_is_compared_where_all_told_it(
    page: Client, user: User
) -> None:
    one, two = make(user, "one"), make(user, "two")
    paths = ("/runs/1", "/runs/2")
    for job, path, keep in zip((one, two), paths, (1, 2), strict=True):
        setting = Setting("trainer.default_local_dir", f"trainer.default_local_dir={path}")
        job.command = Command(("python",), {}, "/w", (setting,)).to_json()
        job.save()
        changed = {"trainer__default_local_dir": path, "trainer__max_ckpt_to_keep": keep}
        tell(job, resolved(optim__num_cycles=keep, **changed))
    address = f"{URL}?job={one.pk}&job={two.pk}"
    assert rows(page.get(address).content) == {
        "Checkpoints to keep trainer.max_ckpt_to_keep": ["1", "2"],
        "Resolved optim.num_cycles": ["1", "2"],
    }
    out = io.StringIO()
    call_command("compare", one.pk, two.pk, stdout=out)
    assert re.search(r"optim.num_cycles +1  \|  2", out.getvalue())
    silent = make(user, "three")
    content = page.get(f"{address}&job={silent.pk}").content.decode()
    assert "num_cycles" not in content


def test_takes_the_same_queries_for_two_and_four(page: Client, user: User) -> None:
    jobs = [make(user, f"run {n}") for n in range(4)]
    url = f"{URL}?job={jobs[0].pk}&job={jobs[1].pk}"
    page.get(url)
    assert queries(page, url) == queries(page, f"{url}&job={jobs[2].pk}&job={jobs[3].pk}")


def test_the_list_and_the_run_lead_to_it(page: Client, two: tuple[Job, Job]) -> None:
    content = page.get("/jobs/").content.decode()
    assert 'name="action" value="compare">Compare</button>' in content
    assert re.search(rf'name="job"\s+value="{two[0].pk}"\s+form="ticked-form"', content)
    run = page.get(f"/jobs/{two[0].pk}/").content.decode()
    assert f'href="/jobs/compare/?job={two[0].pk}"' in run


def test_anonymous(db: None) -> None:
    assert asks_for_login(URL)


def test_wrong_method(page: Client) -> None:
    assert refuses_other_methods(page, URL, "get")


def compare(*argv: str) -> str:
    out = io.StringIO()
    call_command("compare", *argv, stdout=out)
    return out.getvalue()


def test_by_command(two: tuple[Job, Job]) -> None:
    numbers = [str(job.pk) for job in two]
    found = json.loads(compare(*numbers, "--json"))
    assert [job["name"] for job in found["jobs"]] == ["one", "two"]
    assert [row["name"] for row in found["settings"]] == ["lr", "weight_decay", "data.num_workers"]
    assert found["settings"][0] == {
        "name": "lr",
        "label": "Learning rate",
        "key": "optim.lr",
        "unit": "",
        "differs": True,
        "cells": [{"value": "0.25", "given": "set"}, {"value": "0.5", "given": "set"}],
    }
    lines = compare(*numbers).splitlines()
    assert lines[0].split() == ["Learning", "rate", "0.25", "|", "0.5"]
    assert lines[2].split() == ["data.num_workers", MISSING, "|", "3"]
    assert len(compare(*numbers, "--all").splitlines()) > 20


def test_the_command_tells_figures(two: tuple[Job, Job]) -> None:
    factories.add_points(two[1], "val/loss", {1: 2.0, 2: 3.0})
    numbers = [str(job.pk) for job in two]
    [found] = json.loads(compare(*numbers, "--metric", "val/loss", "--json"))["metrics"]
    assert found == {"name": "val/loss", "last": [None, 3.0], "best": [None, 2.0]}
    lines = compare(*numbers, "--metric", "val/loss").splitlines()
    assert lines[-1].split() == ["val/loss", "(best)", MISSING, "|", "2"]


def test_the_command_says_what_is_wrong(two: tuple[Job, Job]) -> None:
    with pytest.raises(CommandError, match="Name two to 200 different jobs"):
        compare(str(two[0].pk), str(two[0].pk))
    with pytest.raises(CommandError, match="There is no job 999"):
        compare(str(two[0].pk), "999")


def test_a_run_that_was_recorded_elsewhere_has_no_machine_of_ours(page: Client, user: User) -> None:
    spec = {"kind": "imported", "verl": "", "tool": "TensorBoard", "source": "events"}
    made = factories.make_job(user, kind="imported", spec=spec)

    text = page.get(URL, {"job": [made.pk, make(user, "ours").pk]}).content.decode()

    assert "elsewhere; recorded by TensorBoard" in " ".join(text.split())
