import threading

import pytest
from django.contrib.auth.models import User

from jobs import lifecycle
from jobs.models import Event, Job, Status
from tests import factories
from tests.waiting import together

ALLOWED = {
    ("draft", "queued"),
    ("queued", "starting"),
    ("queued", "stopped"),
    ("queued", "failed"),
    ("starting", "running"),
    ("starting", "completed"),
    ("starting", "failed"),
    ("starting", "stopped"),
    ("starting", "lost"),
    ("running", "completed"),
    ("running", "failed"),
    ("running", "stopped"),
    ("running", "lost"),
    ("starting", "paused"),
    ("starting", "queued"),
    ("running", "paused"),
    ("paused", "queued"),
    ("paused", "stopped"),
    ("failed", "queued"),
    ("stopped", "queued"),
    ("lost", "queued"),
}
EVERY = [(a, b) for a in Status.values for b in Status.values]


@pytest.mark.parametrize(("source", "target"), EVERY)
def test_each_move_is_allowed_or_refused(user: User, source: str, target: str) -> None:
    job = factories.make_job(user, status=source)
    moved = lifecycle.move(job, Status(target), who="ada", reason="because")
    allowed = (source, target) in ALLOWED
    assert moved is allowed
    assert job.status == (target if allowed else source)
    assert job.events.count() == int(allowed)
    assert job.revision == (2 if allowed else 1)


def test_a_move_is_told_with_who_and_why(user: User) -> None:
    job = factories.make_job(user, status=Status.RUNNING)
    lifecycle.move(job, Status.FAILED, who="ada", reason="It broke.", exit_code=3)
    [event] = job.events.all()
    assert (event.kind, event.who, event.message) == ("failed", "ada", "It broke.")
    assert event.source == Event.Source.PLATFORM
    assert event.position is None
    assert (job.reason, job.exit_code) == ("It broke.", 3)


def test_a_move_from_one_state_only(user: User) -> None:
    job = factories.make_job(user, status=Status.RUNNING)
    assert lifecycle.move(job, Status.STOPPED, only_from=(Status.QUEUED,)) is False
    assert job.status == Status.RUNNING


def test_of_two_stale_objects_one_wins(user: User) -> None:
    first = factories.make_job(user, status=Status.RUNNING)
    second = Job.objects.get(pk=first.pk)
    assert lifecycle.move(first, Status.COMPLETED, reason="All done.") is True
    assert lifecycle.move(second, Status.LOST, reason="Gone.") is False
    assert second.status == Status.COMPLETED
    assert second.reason == "All done."
    assert [event.kind for event in first.events.all()] == ["completed"]


@pytest.mark.backends
@pytest.mark.django_db(transaction=True)
def test_of_many_threads_one_wins() -> None:
    job = factories.make_job(status=Status.QUEUED)
    barrier, won = threading.Barrier(8), []

    def claim() -> None:
        mine = Job.objects.get(pk=job.pk)
        barrier.wait()
        won.append(lifecycle.move(mine, Status.STARTING))

    together(claim, 8)
    assert sorted(won) == [False] * 7 + [True]
    assert job.events.count() == 1


def test_a_touch_is_seen_by_open_pages_and_is_no_event(user: User) -> None:
    job = factories.make_job(user)
    lifecycle.touch(job, name="new")
    assert (job.name, job.revision) == ("new", 2)
    assert job.events.count() == 0
