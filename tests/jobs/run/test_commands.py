"""``pause``, ``save``, ``stop --save``, ``resume`` and ``events``."""

import json

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.utils import timezone

from jobs.models import Job, Status
from tests import factories

pytestmark = pytest.mark.usefixtures("queue")


@pytest.fixture
def job() -> Job:
    boss = factories.make_user("root", is_superuser=True)
    return factories.make_job(boss, status=Status.RUNNING, started_at=timezone.now())


def test_pause(job: Job, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("pause", job.pk, "--json")
    assert json.loads(capsys.readouterr().out)["id"] == job.pk
    job.refresh_from_db()
    assert job.pause_asked_at is not None
    assert job.events.get().who == "root"
    with pytest.raises(CommandError, match="was not paused"):
        call_command("pause", job.pk)


def test_save_goes_on(job: Job, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("save", job.pk)
    assert "it saves after this step" in capsys.readouterr().out
    assert [event.kind for event in job.events.all()] == ["save asked"]
    Job.objects.filter(pk=job.pk).update(status=Status.COMPLETED)
    with pytest.raises(CommandError, match="It is completed"):
        call_command("save", job.pk)


def test_stop_after_saving(job: Job) -> None:
    call_command("stop", job.pk, "--save")
    job.refresh_from_db()
    assert (job.then_stop, job.stop_asked_at) == (True, None)
    with pytest.raises(CommandError, match="is running"):
        call_command("stop", job.pk, "--save")


def test_resume_from_a_step(job: Job, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(CommandError, match="nothing to resume"):
        call_command("resume", job.pk)
    Job.objects.filter(pk=job.pk).update(status=Status.PAUSED)
    call_command("resume", job.pk, "--from", "20")
    assert "queued as attempt 2" in capsys.readouterr().out
    job.refresh_from_db()
    assert (job.status, job.resume_step) == (Status.QUEUED, 20)


def test_events(job: Job, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("events", job.pk)
    assert capsys.readouterr().out == "Nothing yet.\n"
    call_command("pause", job.pk)
    capsys.readouterr()
    call_command("events", job.pk, "--json")
    [event] = json.loads(capsys.readouterr().out)
    assert (event["kind"], event["who"], event["attempt"]) == ("pause asked", "root", 1)
