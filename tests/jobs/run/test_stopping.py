"""The question whether to stop speaks of the state that the job is in, and says what is kept."""

import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from jobs.models import Job, Status
from monitoring.page import news
from tests import factories

NOW = timezone.now()
GOES: dict[str, Any] = {"started_at": NOW}
RL: dict[str, Any] = {"kind": "grpo", "spec": factories.grpo_spec().to_json()}


@pytest.mark.parametrize(
    ("status", "fields", "says", "button"),
    [
        (Status.QUEUED, {}, "Nothing of it has run", "Take it out of the queue"),
        (Status.QUEUED, {"held_at": NOW}, "Nothing of it has run", "Take it out of the queue"),
        (Status.QUEUED, {"attempt": 2}, "the newest of step 20", "Take it out of the queue"),
        (Status.STARTING, GOES, "It is being made ready", "Stop the start"),
        (Status.RUNNING, GOES, "after the checkpoint of step 20 is lost", "Stop the run"),
        (Status.RUNNING, GOES | {"pause_asked_at": NOW}, "and pauses by itself", "Stop without"),
        (Status.PAUSED, GOES, "can be resumed", "End it"),
        (Status.RUNNING, GOES | {"stop_asked_at": NOW}, "asked to stop already", None),
        (Status.FAILED, GOES | {"retry_at": NOW}, "would go on by itself", "Do not try again"),
        (Status.COMPLETED, GOES, "It is completed. There is nothing to stop.", None),
        (Status.DRAFT, {}, "It is a draft", None),
    ],
)
def test_page_and_dialog_speak_of_the_state(
    page: Client, user: User, status: Status, fields: dict[str, Any], says: str, button: str | None
) -> None:
    job = factories.make_job(user, status=status, **RL | fields)
    factories.keep_checkpoints(job, {20: 5}, latest=20)
    for url in (f"/jobs/{job.pk}/stop/", f"/jobs/{job.pk}/"):
        content = page.get(url).content.decode()
        assert says in content
        assert ('id="stop-now"' in content) is (button is not None)
        assert button is None or button in content
    assert "Keep running" not in content or status == Status.RUNNING


def test_without_a_checkpoint_all_is_lost(page: Client, user: User) -> None:
    job = factories.make_job(user, status=Status.RUNNING, **RL | GOES)
    content = page.get(f"/jobs/{job.pk}/stop/").content.decode()
    assert "all that it learnt is lost" in content
    assert "Save, then stop" in content


def test_an_open_page_hears_when_the_question_is_another(user: User) -> None:

    job = factories.make_job(user, status=Status.QUEUED)
    assert "Take it out of the queue" in news.new_state(job.pk, job.uuid, 0, 1)[0]
    Job.objects.filter(pk=job.pk).update(status=Status.RUNNING, revision=2, **GOES)
    told = news.new_state(job.pk, job.uuid, 1, 2)[0]
    assert "Stop the run" in told
    assert re.search(r'id="stop-question"[^>]*hx-swap-oob="true"', told)
