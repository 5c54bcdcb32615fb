"""Work of a size that users choose: a few processes at once, and the others wait in line."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from datasets import services
from datasets.models import Source
from platform_site.work import doing, line, places, process, tasks, verbs
from platform_site.work.doers import IN_LINE
from platform_site.work.models import State
from tests import factories, taskqueue

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def started(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """The processes that would have been started."""
    argvs: list[tuple[str, ...]] = []
    for module in (tasks, places):
        monkeypatch.setattr(module, "start_process", lambda *argv, place=0: argvs.append(argv))
    return argvs


@pytest.fixture
def full(home: object, settings: Settings) -> Iterator[ExitStack]:
    """All places are taken."""
    with ExitStack() as stack:
        for _ in range(settings.TRAINYARD_DATA_AT_ONCE):
            assert stack.enter_context(places.place())
        yield stack


def uploads(page: Client, user: User, count: int) -> list[Source]:
    dataset = services.create("rows", user)
    for number in range(count):
        file = SimpleUploadedFile(f"{number}.jsonl", b'{"a": 1}\n')
        page.post(f"/datasets/{dataset.pk}/add/", {"file": file})
    found = list(dataset.sources.order_by("pk"))
    assert len(found) == count
    return found


def test_what_users_bring_takes_turns() -> None:
    brought = {"datasets.source", "datasets.version", "datasets.report", "monitoring.runimport"}
    assert brought == IN_LINE


def test_25_uploads_start_no_process_while_the_places_are_taken(
    page: Client, user: User, full: ExitStack, queue: None, started: list[tuple[str, ...]]
) -> None:
    rows = uploads(page, user, 25)
    taskqueue.work()
    assert started == []
    full.close()
    line.go_on()
    assert started == [("work", "datasets.source", str(rows[0].pk))]
    shown = page.get(rows[0].dataset.get_absolute_url()).content.decode()
    assert "25 wait in line; 2 are worked on at a time" in shown


def test_a_process_is_started_with_its_place(
    home: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The place is taken when the process is started, not when it is ready for work."""
    settings.TRAINYARD_DATA_AT_ONCE = 1
    holds = "import os, sys; print(os.environ['TRAINYARD_PLACE'], flush=True); sys.stdin.read()"
    with places.place() as found:
        assert found
        argv, env = [sys.executable, "-c", holds], {process.HANDED: str(found.fileno())}
        child = subprocess.Popen(
            argv, env=env, pass_fds=[found.fileno()], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert child.stdout
        assert child.stdout.readline().strip() == str(found.fileno()).encode()
    with places.place() as found:
        assert found is None  # the child has it
    child.communicate()
    with places.place() as found:
        assert found


def test_a_process_without_a_place_leaves_the_work_to_others(
    page: Client, user: User, full: ExitStack, started: list[tuple[str, ...]]
) -> None:
    [row] = uploads(page, user, 1)
    doing.work_off("datasets.source", row.pk)
    row.refresh_from_db()
    assert row.state == State.WAITING
    full.close()
    doing.work_off("datasets.source", row.pk)
    row.refresh_from_db()
    assert (row.state, row.rows) == (State.DONE, 1)


def test_the_end_of_one_begins_the_one_that_waits_longest(
    page: Client, user: User, started: list[tuple[str, ...]]
) -> None:
    first, second, third = uploads(page, user, 3)
    Source.objects.filter(pk=second.pk).update(asked_at=timezone.now())
    doing.work_off("datasets.source", first.pk)
    assert started == [("work", "datasets.source", str(third.pk))]


def test_who_waits_in_line_does_not_look_lost(page: Client, user: User) -> None:
    working, waiting = uploads(page, user, 2)
    verbs.claim(working)
    Source.objects.update(beat_at=timezone.now() - timedelta(hours=1))
    waiting.refresh_from_db()
    assert waiting.is_silent
    line.keep_alive()
    waiting.refresh_from_db()
    assert not waiting.is_silent
    working.refresh_from_db()
    assert working.is_silent  # only its own process speaks for it


def test_work_that_asks_for_too_much_memory_says_so(page: Client, user: User) -> None:
    def greedy(work: Source) -> dict[str, Any]:
        raise MemoryError

    [row] = uploads(page, user, 1)
    doing.do(row, greedy)
    row.refresh_from_db()
    assert row.error == "It needed more than 4 GiB of memory: see TRAINYARD_DATA_MEMORY."


def test_other_work_takes_no_turn(full: ExitStack, started: list[tuple[str, ...]]) -> None:
    fetch = factories.make_job().fetches.create(step=3)
    tasks.start("jobs.fetch", fetch.pk)
    assert started == [("work", "jobs.fetch", str(fetch.pk))]
