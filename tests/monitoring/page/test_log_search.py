"""The page that searches a log, and the command."""

import io
import json
import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import Client
from django.utils import timezone

from jobs.models import Job
from jobs.trackers import accounts
from jobs.verl.trackers import TRACKERS
from monitoring.page import log_views
from tests import factories
from tests.factories import write_run_file
from tests.pages import HTMX, asks_for_login, queries, refuses_other_methods

LINES = "".join(f"step {at}\n" for at in range(1, 1001)) + "<b>Error: lost</b>\nlast\n"


@pytest.fixture
def job(user: User) -> Job:
    job = factories.make_job(user, status="failed", ended_at=timezone.now())
    write_run_file(job, "train.log", LINES)
    return job


def url(job: Job) -> str:
    return f"/jobs/{job.pk}/log/search/"


def shown(page: Client, job: Job, query: str, **options: Any) -> str:
    return page.get(f"{url(job)}?{query}", **options).content.decode()


def test_it_finds_lines_anywhere_and_links_to_them(page: Client, job: Job) -> None:
    text = shown(page, job, "q=error")
    at = LINES.index("<b>")
    assert f'href="/jobs/{job.pk}/log/{at}/#line"' in text
    assert "<code>&lt;b&gt;<mark>Error</mark>: lost&lt;/b&gt;</code>" in text
    assert "1 line found in" in text


def test_a_page_holds_so_many_and_leads_on(page: Client, job: Job) -> None:
    text = shown(page, job, "q=step")
    assert text.count('<li class="log-hit') == log_views.MOST_HITS
    following = re.search(r'href="/jobs/\d+/log/search/\?([^"]+)">Search on', text)
    assert following
    rest = shown(page, job, following[1].replace("&amp;", "&"))
    assert rest.count('<li class="log-hit') == 500
    assert "500 lines found" in rest


def test_htmx_gets_a_stretch_that_asks_for_the_next_by_itself(page: Client, job: Job) -> None:
    text = shown(page, job, "q=step", headers=HTMX)
    assert text.count('<li class="log-hit') == log_views.HITS
    assert "<form" not in text
    following = re.search(r'hx-get="([^"]+)"\s+hx-trigger="load"', text)
    assert following
    rest = page.get(following[1].replace("&amp;", "&"), headers=HTMX).content.decode()
    assert rest.strip().startswith("<li")
    assert "200 lines found" in rest


def test_what_a_run_still_writes_is_looked_at_as_it_comes(page: Client, job: Job) -> None:
    Job.objects.update(status="running", ended_at=None)
    text = shown(page, job, "q=lost", headers=HTMX)
    assert 'hx-trigger="load delay:2s"' in text
    assert "new lines are looked at as they come" in text


def test_the_first_error(page: Client, job: Job) -> None:
    response = page.get(f"{url(job)}?first")
    assert response.status_code == 302
    assert response.headers["Location"] == f"/jobs/{job.pk}/log/{LINES.index('<b>')}/#line"
    write_run_file(job, "train.log", "all is well\n")
    assert "No line of the log tells of an error." in shown(page, job, "first")


def test_secrets_are_neither_found_nor_shown(page: Client, user: User, job: Job) -> None:
    key = "0123456789abcdef-the-key"
    accounts.keep(user, TRACKERS["wandb"], {"WANDB_API_KEY": key, "WANDB_MODE": "online"})
    Job.objects.update(spec=factories.sft_spec(loggers="wandb").to_json(), kind="sft")
    write_run_file(job, "train.log", f"logging in with {key}\n")
    assert "No line of" in shown(page, job, "q=the-key")
    assert "*" * len(key) in shown(page, job, "q=logging")


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("q=(&regex=on", "This is no regular expression"),
        ("level=loud", "Select a valid choice"),
        ("rank=-1", "greater than or equal to 0"),
        ("q=a&start=x", ""),
    ],
)
def test_wrong_questions(page: Client, job: Job, query: str, said: str) -> None:
    for headers in ({}, HTMX):
        response = page.get(f"{url(job)}?{query}", headers=headers)
        assert response.status_code == 422
        assert said in response.content.decode()


def test_nothing_asked_and_no_log(page: Client, user: User, job: Job) -> None:
    assert "Say what to look for" in shown(page, job, "")
    assert "There is no log yet." in shown(page, factories.make_job(user), "q=a")


def test_takes_the_same_queries_for_one_hit_and_many(page: Client, job: Job) -> None:
    assert queries(page, f"{url(job)}?q=lost") == queries(page, f"{url(job)}?q=step")


def test_someone_elses(page: Client, other: User) -> None:
    assert page.get(url(factories.make_job(other))).status_code == 404


def test_anonymous(job: Job) -> None:
    assert asks_for_login(url(job))


def test_wrong_method(page: Client, job: Job) -> None:
    assert refuses_other_methods(page, url(job), "get")


def command(job: Job, *argv: str) -> str:
    out = io.StringIO()
    call_command("logs", str(job.pk), *argv, stdout=out)
    return out.getvalue()


def test_the_command(job: Job) -> None:
    assert command(job, "--search", "step 9{3}$") == "999: step 999\n"
    hit = json.loads(command(job, "--first-error", "--json"))
    assert (hit["number"], hit["level"], hit["text"]) == (1001, "error", "<b>Error: lost</b>")
    assert command(job, "--level", "error", "--rank", "3") == ""
    with pytest.raises(CommandError, match="no regular expression"):
        command(job, "--search", "(")


@pytest.fixture
def three(job: Job) -> Job:
    """Of three attempts the second wrote no log."""
    Job.objects.update(attempt=3)
    job.refresh_from_db()
    write_run_file(job, "train.log", "third: Error\n")
    return job


def test_the_log_of_any_attempt_is_searched(page: Client, three: Job) -> None:
    assert "third: " in shown(page, three, "q=error")
    before = shown(page, three, "q=error&attempt=1")
    at = LINES.index("<b>")
    assert f'href="/jobs/{three.pk}/log/{at}/?attempt=1#line"' in before
    assert "third: " not in before
    line = page.get(f"/jobs/{three.pk}/log/{at}/?attempt=1").content.decode()
    assert '<mark id="line">&lt;b&gt;Error: lost' in line
    assert ", attempt 1</h1>" in line
    assert f'href="/jobs/{three.pk}/log/?attempt=1"' in line
    assert "There is no log yet." in shown(page, three, "q=error&attempt=2")
    for wrong in ("0", "4", "x"):
        assert "Select a valid choice" in shown(page, three, f"q=error&attempt={wrong}")
        assert page.get(f"/jobs/{three.pk}/log/0/?attempt={wrong}").status_code == 404
        assert page.get(f"/jobs/{three.pk}/log/?attempt={wrong}").status_code == 404


def test_a_job_of_one_attempt_is_not_asked_which(page: Client, job: Job) -> None:
    assert 'name="attempt"' not in shown(page, job, "q=error")


def test_the_logs_of_all_attempts_are_searched_one_after_the_other(
    page: Client, three: Job
) -> None:
    text, seen = shown(page, three, "q=error&attempt=all", headers=HTMX), ""
    while following := re.search(r'hx-get="([^"]+)"\s+hx-trigger="load"', text):
        seen += text
        text = page.get(following[1].replace("&amp;", "&"), headers=HTMX).content.decode()
        assert text.strip().startswith("<li")
    seen += text
    assert re.findall(r"<strong>Attempt (\d)</strong>", seen) == ["1", "2", "3"]
    assert seen.count('<li class="log-hit') == 2
    assert "2 lines found in all attempts." in seen
    plain = shown(page, three, "q=error&attempt=all")
    assert "Search on in attempt 2" in plain


def test_the_first_error_of_an_attempt(page: Client, three: Job) -> None:
    at = f"{LINES.index('<b>')}/?attempt=1#line"
    for attempt, to in (("1", at), ("all", at), ("", "0/#line")):
        response = page.get(f"{url(three)}?first&attempt={attempt}")
        assert response.headers["Location"] == f"/jobs/{three.pk}/log/{to}"


def test_only_the_newest_log_grows(page: Client, three: Job) -> None:
    Job.objects.update(status="running", ended_at=None)
    assert "2s" not in shown(page, three, "q=nowhere&attempt=1", headers=HTMX)
    assert "2s" in shown(page, three, "q=nowhere", headers=HTMX)


def test_the_download_of_an_attempt(page: Client, three: Job) -> None:
    response = page.get(f"/jobs/{three.pk}/log/?attempt=1")
    assert f"run-{three.pk}-attempt-1.log" in response.headers["Content-Disposition"]


def test_the_command_reads_any_attempt(three: Job) -> None:
    assert command(three, "--search", "Error", "--attempt", "1") == "1001: <b>Error: lost</b>\n"
    assert command(three, "--search", "Error", "--attempt", "all") == (
        "1:1001: <b>Error: lost</b>\n3:1: third: Error\n"
    )
    assert json.loads(command(three, "--first-error", "--attempt", "all", "--json"))["attempt"] == 1
    assert command(three, "--attempt", "1") == LINES
    assert command(three, "--attempt", "all") == f"{LINES}third: Error\n"
    with pytest.raises(CommandError, match="Select a valid choice"):
        command(three, "--attempt", "7")
    with pytest.raises(CommandError, match="does not go with --follow"):
        command(three, "--attempt", "1", "-f")


@pytest.mark.parametrize(
    ("status", "shown"), [("running", True), ("draft", True), ("failed", False)]
)
def test_only_a_log_that_can_grow_is_followed(
    page: Client, job: Job, status: str, *, shown: bool
) -> None:
    Job.objects.update(status=status)
    text = page.get(f"/jobs/{job.pk}/").content.decode()
    assert ("data-log-follow" in text, "data-log-pause" in text) == (shown, shown)
