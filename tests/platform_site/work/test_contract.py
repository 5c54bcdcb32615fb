"""What every kind of long work keeps to: all models that are work, on every database."""

import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import OperationalError
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.module_loading import import_string

from compute.models import SetUp
from datasets.models import Report, Source, Version
from jobs.models import Fetch, Place, Removal
from jobs.models.deletions import Deletion
from monitoring.models import RunImport
from platform_site.work import doing, models, verbs
from platform_site.work.doers import DONE_BY
from platform_site.work.doing import Cancelled, Progress, WorkFailed
from platform_site.work.models import State, Work, silent
from tests import factories, processes, taskqueue
from tests.waiting import eventually, together

pytestmark = [pytest.mark.backends, pytest.mark.django_db(transaction=True)]

MAKERS: dict[type[Work], Callable[[], Work]] = {
    Source: lambda: factories.make_dataset().sources.create(origin="upload", name="rows.jsonl"),
    Version: lambda: factories.make_version(state=State.WAITING),
    Report: lambda: Report.objects.create(version=factories.make_version()),
    SetUp: lambda: SetUp.objects.create(machine=factories.make_ssh_machine()),
    Fetch: lambda: factories.make_job().fetches.create(step=3),
    Removal: lambda: Removal.objects.create(place=make_place()),
    Deletion: lambda: Deletion.objects.create(number=1, name="a run"),
    RunImport: lambda: RunImport.objects.create(owner=factories.make_user("ada"), name="a run"),
}
ALL = Work.__subclasses__()
HOLDS_ALL = """
import threading
from django.apps import apps
from platform_site.work import doing

def hold(rows):
    if rows:
        label, pk = rows[0].split(":")
        doing.do(apps.get_model(label).objects.get(pk=pk), lambda work: hold(rows[1:]))
    else:
        print("all of them are claimed", flush=True)
        threading.Event().wait()

hold({rows!r})
"""


def make_place() -> Place:
    job = factories.make_job()
    factories.keep_checkpoints(job, {3: 5})
    return Place.objects.get(artifact__job=job)


@pytest.fixture(params=ALL, ids=lambda model: str(model.__name__))
def work(request: pytest.FixtureRequest) -> Work:
    return MAKERS[request.param]()


def of(work: Work) -> Any:
    return verbs.rows(work).get()


def nothing(work: Work) -> dict[str, Any]:
    return {}


def never(work: Work) -> dict[str, Any]:
    raise AssertionError("it was not to be done")


def test_every_kind_says_what_does_its_work() -> None:
    assert set(DONE_BY) == {model._meta.label_lower for model in ALL}
    assert all(callable(import_string(path)) for path in DONE_BY.values())


def test_it_is_claimed_once(work: Work) -> None:
    claimed: list[bool] = []
    together(lambda: claimed.append(verbs.claim(of(work))), 4)
    assert sorted(claimed) == [False, False, False, True]
    assert not doing.do(of(work), never)


def test_from_asked_to_done(work: Work) -> None:
    ended: list[str] = []

    def count(work: Work) -> dict[str, Any]:
        assert (work.state, of(work).is_busy) == (State.WORKING, True)
        Progress(work)(3, 4)
        assert of(work).percent == 75
        return {"done": 4}

    assert doing.do(work, count, lambda work: ended.append(work.state))
    row = of(work)
    assert (row.state, row.percent, row.is_busy, row.is_done) == (State.DONE, 100, False, True)
    assert row.ended_at >= row.asked_at
    assert ended == [State.DONE]


def test_a_worker_starts_a_process_that_does_it(
    work: Work, queue: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr("subprocess.Popen", lambda argv, **_: started.append(argv))
    verbs.ask(work)
    label = work._meta.label_lower
    assert taskqueue.work() == [("platform_site.work.tasks.start", (label, work.pk))]
    assert started[0][1:] == ["manage.py", "work", label, str(work.pk)]


def test_its_fault_is_a_sentence_in_its_row(work: Work) -> None:
    def fail(work: Work) -> dict[str, Any]:
        raise WorkFailed("The disk is full.")

    assert doing.do(work, fail)
    assert (of(work).state, of(work).error) == (State.FAILED, "The disk is full.")
    assert verbs.renew(work)
    assert (of(work).state, of(work).error, of(work).ended_at) == (State.WAITING, "", None)


def test_a_fault_of_ours_ends_it_too(work: Work) -> None:
    def fail(work: Work) -> dict[str, Any]:
        raise KeyError("oh")

    assert doing.do(work, fail)
    assert (of(work).state, of(work).error) == (State.FAILED, doing.UNEXPECTED)


def test_what_breaks_its_process_off_ends_it(work: Work) -> None:
    def interrupt(work: Work) -> dict[str, Any]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        doing.do(work, interrupt)
    assert (of(work).state, of(work).error) == (State.FAILED, doing.BROKEN_OFF)


def test_what_waits_is_cancelled_at_once(work: Work) -> None:
    assert verbs.cancel(of(work))
    assert not verbs.cancel(of(work))
    assert not doing.do(work, never)
    assert of(work).state == State.CANCELLED
    assert verbs.renew(work)
    assert doing.do(work, nothing)


def test_what_is_worked_on_ends_at_its_next_word(work: Work) -> None:
    def is_cancelled(work: Work) -> dict[str, Any]:
        progress = Progress(work)
        progress.keep()
        assert verbs.cancel(of(work))
        assert of(work).is_busy
        assert not verbs.cancel(of(work))
        with pytest.raises(Cancelled):
            progress.keep()
        raise Cancelled("What came is kept.")

    assert doing.do(work, is_cancelled)
    assert (of(work).state, of(work).error) == (State.CANCELLED, "What came is kept.")


def test_done_work_is_repeated_only_where_it_may_be(work: Work) -> None:
    doing.do(work, nothing)
    assert verbs.renew(work) is work.CAN_REPEAT
    assert work.state == (State.WAITING if work.CAN_REPEAT else State.DONE)


@pytest.mark.parametrize("state", [State.WAITING, State.WORKING])
def test_what_is_silent_is_done_by_another_process(work: Work, state: State) -> None:
    first = of(work)
    if state == State.WORKING:
        assert verbs.claim(first)
    assert not verbs.renew(of(work)), "it goes on"
    longest = models.SILENT_AFTER[state]
    verbs.rows(work).update(beat_at=timezone.now() - longest - timedelta(seconds=1))
    assert (of(work).is_silent, of(work).is_busy) == (True, False)
    assert verbs.rows(work).filter(silent()).exists()
    second = of(work)
    assert verbs.renew(second)
    assert verbs.claim(second)
    assert verbs.rows(work).filter(silent()).count() == 0
    with pytest.raises(Cancelled):  # the first process, should it still live
        Progress(first)(1, 2)
    assert not verbs.end(first, State.FAILED, never)
    assert verbs.end(second, State.DONE, nothing)


def test_a_lost_database_does_not_make_living_work_look_dead(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults: list[str] = []
    update, main = QuerySet.update, threading.current_thread()

    def fails_once(rows: Any, **fields: Any) -> int:
        if threading.current_thread() is not main and not faults:
            faults.append("one")
            raise OperationalError("the database is locked")
        return update(rows, **fields)

    monkeypatch.setattr(QuerySet, "update", fails_once)
    monkeypatch.setattr(verbs, "BEAT", 0.001)

    def wait(work: Work) -> dict[str, Any]:
        before = work.beat_at
        eventually(lambda: faults and of(work).beat_at > before)
        return {}

    assert doing.do(work, wait)
    assert of(work).state == State.DONE


def test_progress_is_written_once_a_second(work: Work) -> None:
    verbs.claim(work)
    now = [0.0]
    progress = Progress(work, clock=lambda: now[0])
    written = []
    for now[0], done in ((0.0, 1), (0.5, 2), (1.5, 3), (1.6, 10)):  # what is whole is always told
        progress(done, 10)
        written.append(of(work).done)
    assert written == [1, 1, 3, 10]


def test_a_killed_process_falls_silent(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    works = [make() for make in MAKERS.values()]
    named = [f"{work._meta.label_lower}:{work.pk}" for work in works]
    output = home / "said"
    env = processes.environment(home)
    with processes.running("shell", "-c", HOLDS_ALL.format(rows=named), env=env, output=output):
        eventually(lambda: "all of them are claimed" in output.read_text(), 60)
        assert all(of(work).is_busy for work in works)
    for work in works:
        assert of(work).state == State.WORKING
        assert not of(work).is_silent, "it was alive just now"
        monkeypatch.setitem(models.SILENT_AFTER, State.WORKING, timedelta(0))
        assert of(work).is_silent
        assert verbs.renew(work)
        assert doing.do(work, nothing)
        monkeypatch.undo()


@pytest.mark.parametrize("model", ALL, ids=lambda model: str(model.__name__))
def test_a_process_whose_work_was_deleted_does_nothing(model: type[Work]) -> None:
    call_command("work", model._meta.label_lower, "1")
    assert not model._default_manager.exists()
