"""A careless trainer prints its key: no page and no command shows it."""

import io
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.http import StreamingHttpResponse
from django.test import Client

from jobs.models import Job
from jobs.trackers import accounts
from jobs.verl.trackers import TRACKERS
from monitoring.page import live
from tests import factories

KEY = "0123456789abcdef-größe-the-api-key"
LINE = f"wandb: logging in with {KEY}\nstep:1\n"


@pytest.fixture
def job(user: User) -> Job:
    accounts.keep(user, TRACKERS["wandb"], {"WANDB_API_KEY": KEY, "WANDB_MODE": "online"})
    spec = factories.sft_spec(loggers="wandb").to_json()
    job = factories.make_job(user, spec=spec, status="completed")
    factories.write_run_file(job, "train.log", LINE)
    return job


def test_no_page_and_no_command_shows_it(page: Client, job: Job) -> None:
    assert KEY in Path(job.run_dir, "train.log").read_text()
    assert KEY not in page.get(f"/jobs/{job.pk}/").content.decode()
    response = page.get(f"/jobs/{job.pk}/log/")
    assert isinstance(response, StreamingHttpResponse)
    downloaded = b"".join(response).decode()
    out = io.StringIO()
    call_command("logs", str(job.pk), stdout=out)
    stars = "*" * len(KEY.encode())
    for shown in (downloaded, out.getvalue()):
        assert shown == f"wandb: logging in with {stars}\nstep:1\n"


def test_an_open_page_sees_no_part_of_it(job: Job) -> None:
    log, whole = Path(job.run_dir, "train.log"), LINE.encode()
    for cut in range(20, len(whole)):
        log.write_bytes(whole[:cut])
        first = live.log_from(job, 0)
        log.write_bytes(whole)
        second = live.log_from(job, first.end)
        assert (first.start, second.start, second.end) == (0, first.end, len(whole))
        assert "456789" not in first.text + second.text
        assert "api-key" not in first.text + second.text


def test_a_run_without_trackers_is_shown_as_it_is(user: User, job: Job) -> None:
    Job.objects.filter(pk=job.pk).update(spec=factories.sft_spec().to_json())
    job.refresh_from_db()
    assert live.log_from(job, 0).text == LINE
