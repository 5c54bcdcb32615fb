"""What the page of a job without a figure says is true of the state that it is in."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from jobs.models import Status
from tests import factories

NOW = timezone.now()
ENDED = "This run ended without logging a figure."


@pytest.mark.parametrize(
    ("status", "fields", "says"),
    [
        (Status.DRAFT, {}, "it is a draft"),
        (Status.QUEUED, {}, "it waits to start"),
        (Status.QUEUED, {"held_at": NOW, "held_by": "ada"}, "it is held in the queue"),
        (Status.STARTING, {"started_at": NOW}, "it is being started"),
        (Status.RUNNING, {"started_at": NOW}, "with the first step that it logs"),
        (Status.PAUSED, {"started_at": NOW}, "It paused without logging a figure."),
        (Status.STOPPED, {}, "It never started"),
        (Status.FAILED, {}, "It never started"),
        (Status.FAILED, {"started_at": NOW}, ENDED),
        (Status.COMPLETED, {"started_at": NOW}, ENDED),
        (Status.LOST, {"started_at": NOW}, ENDED),
    ],
)
def test_the_sentence_fits_the_state(
    page: Client, user: User, status: Status, fields: dict[str, Any], says: str
) -> None:
    job = factories.make_job(user, status=status, **fields)
    content = page.get(f"/jobs/{job.pk}/").content.decode()
    assert says in content
    assert (ENDED in content) is (says == ENDED)
    is_over = status in (Status.STOPPED, Status.FAILED, Status.COMPLETED, Status.LOST)
    assert ("Nothing was written yet" in content) is not is_over
    assert ("None: it ended without a checkpoint" in content) is is_over
