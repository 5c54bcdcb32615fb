"""Websockets through the whole ASGI application: origin, session, login, route."""

import json
import re
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator
from django.conf import settings
from django.contrib.auth.models import User
from django.db.models import Max
from django.test import Client
from django.utils import timezone

from jobs import lifecycle
from jobs.kinds.train import Train
from jobs.launch import end
from jobs.models import Job, Status
from monitoring.page import consumers, live
from monitoring.store import points
from monitoring.watch import watching_run
from platform_site.asgi import application
from tests import factories
from tests.factories import append_run_file, metrics_line, write_run_file
from tests.waiting import together

pytestmark = [
    pytest.mark.backends,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("queue"),
]
ORIGIN = (b"origin", b"http://127.0.0.1:8000")
Open = Callable[..., WebsocketCommunicator]
PARTS = {"header", "progress", "system", "events", "checkpoints"}


@pytest.fixture
def job(user: User) -> Job:
    job = factories.make_job(user, status=Status.RUNNING, started_at=timezone.now(), steps=100)
    write_run_file(job, "heartbeat", f"{time.time()}")
    write_run_file(job, "train.log", "")
    write_run_file(job, "metrics.jsonl", "")
    return job


@pytest.fixture
async def opened() -> AsyncIterator[Open]:
    """Opens sockets and closes them all."""
    found: list[WebsocketCommunicator] = []

    def open_socket(path: str, user: User | None = None, **options: Any) -> WebsocketCommunicator:
        headers = [(b"host", b"127.0.0.1:8000"), options.get("origin", ORIGIN)]
        if user:
            headers.append((b"cookie", cookie(user)))
        found.append(WebsocketCommunicator(application, path, headers=headers))
        return found[-1]

    yield open_socket
    for socket in found:
        await socket.disconnect()


def cookie(user: User) -> bytes:
    """The cookie of a session in which the user is logged in."""
    made: list[bytes] = []

    def log_in() -> None:
        client = Client()
        client.force_login(user)
        name = settings.SESSION_COOKIE_NAME
        made.append(f"{name}={client.cookies[name].value}".encode())

    together(log_in, 1)  # not in the thread of the event loop
    return made[0]


async def message(socket: WebsocketCommunicator) -> Any:
    """The next message: JSON as a value, HTML as text."""
    text = await socket.receive_from(timeout=10)
    assert isinstance(text, str)
    return json.loads(text) if text.startswith("{") else text


async def until(socket: WebsocketCommunicator, wanted: Callable[[Any], bool]) -> list[Any]:
    """All messages up to the first that is wanted."""
    found = [await message(socket)]
    while not wanted(found[-1]):
        found.append(await message(socket))
    return found


async def until_closed(socket: WebsocketCommunicator) -> list[Any]:
    """All messages of a job that has ended: after them the socket is closed."""
    found = []
    while (output := await socket.receive_output(10))["type"] == "websocket.send":
        text = output["text"]
        found.append(json.loads(text) if text.startswith("{") else text)
    return found


async def say(
    socket: WebsocketCommunicator, revision: int, log: int, points: int = 0, **cursors: int
) -> None:
    said = {"revision": revision, "log": log, "points": points, **cursors}
    await socket.send_to(json.dumps(said))


def is_html(found: Any) -> bool:
    return isinstance(found, str)


def is_log(found: Any) -> bool:
    return isinstance(found, dict) and found["type"] == "log"


def is_points(found: Any) -> bool:
    return isinstance(found, dict) and found["type"] == "points"


def add_steps(job: Job, *steps: int) -> None:
    """Write these steps and read them, as trainer and watcher do."""
    append_run_file(job, "metrics.jsonl", "".join(metrics_line(n, a=n) for n in steps))
    watching_run.watch(job)
    live.ping(job.pk)


write_steps = sync_to_async(add_steps)


@pytest.mark.parametrize("path", ["/ws/jobs/1/", "/ws/overview/"])
async def test_anonymous_is_closed(opened: Open, job: Job, path: str) -> None:
    socket = opened(path.replace("1", str(job.pk)))
    await socket.connect()
    closed = await socket.receive_output(10)
    assert (closed["type"], closed["code"]) == ("websocket.close", 4401)


async def test_someone_elses_job_is_closed(opened: Open, job: Job, other: User) -> None:
    socket = opened(f"/ws/jobs/{job.pk}/", other)
    await socket.connect()
    assert (await socket.receive_output(10))["code"] == 4404


async def test_a_job_that_is_not_there_is_closed(opened: Open, user: User) -> None:
    socket = opened("/ws/jobs/999999/", user)
    await socket.connect()
    assert (await socket.receive_output(10))["code"] == 4404


async def test_another_site_cannot_open_a_socket(opened: Open, job: Job, user: User) -> None:
    socket = opened(f"/ws/jobs/{job.pk}/", user, origin=(b"origin", b"http://evil.example"))
    connected, _ = await socket.connect()
    assert connected is False


async def test_a_page_without_a_cursor_is_sent_nothing(opened: Open, job: Job, user: User) -> None:
    socket = opened(f"/ws/jobs/{job.pk}/", user)
    await socket.connect()
    for junk in ("{", "1", "[]", "{}", '{"revision": "x", "log": 0}', '{"revision": null}'):
        await socket.send_to(junk)
    assert await socket.receive_nothing(0.5) is True


async def test_catch_up_from_a_cursor(opened: Open, job: Job, user: User) -> None:
    await write_steps(job, 1, 2)
    seen, number = job.revision, await position(job)
    await write_steps(job, 3)
    socket = opened(f"/ws/jobs/{job.pk}/", user)
    await socket.connect()
    await say(socket, seen, 0, number)
    found = await until(socket, is_html)
    [[step, _]] = found[0].pop("times")
    assert step == 3
    assert found[0] == {
        "type": "points",
        "number": number + 1,
        "anew": False,
        "series": {"a": [[3, 3.0]]},
    }
    assert 'id="run-progress"' in found[1]
    assert "hx-swap-oob" in found[1]


async def test_a_line_of_metrics_draws_nothing_else_again(
    opened: Open, job: Job, user: User
) -> None:
    socket = await caught_up(opened, job, user)
    await write_steps(job, 1)
    found = [await message(socket), await message(socket)]
    assert is_points(found[0])
    assert re.findall(r'id="run-(\w+)"', found[1]) == ["progress", "glance"]
    assert await socket.receive_nothing(0.5) is True


async def test_a_change_of_state_draws_the_state_again(opened: Open, job: Job, user: User) -> None:
    socket = await caught_up(opened, job, user)
    await sync_to_async(lifecycle.touch)(job, stalled_step=0)
    found = await message(socket)
    assert re.findall(r'id="run-(header|checkpoints)"', found) == ["header", "checkpoints"]
    assert await socket.receive_nothing(0.5) is True


async def test_a_sample_draws_the_load_again(opened: Open, job: Job, user: User) -> None:
    socket = await caught_up(opened, job, user)
    append_run_file(job, "system.jsonl", '{"at": 5, "cpu_percent": 50}\n')
    await sync_to_async(watching_run.watch)(job)
    sample, html = await message(socket), await message(socket)
    assert sample["samples"] == [{"at": 5.0, "cpu_percent": 50}]
    assert 'id="run-system"' in html
    assert await socket.receive_nothing(0.5) is True


@pytest.mark.parametrize(
    ("panels", "types", "parts"),
    [
        ((), set(), {"header", "progress"}),
        (("charts",), {"points"}, {"header", "progress"}),
        (("log",), {"log"}, {"header", "progress"}),
        (("system",), {"system"}, {"header", "progress", "system"}),
        (("events", "config"), set(), {"header", "progress", "events"}),
        (("checkpoints",), set(), {"header", "progress", "checkpoints"}),
    ],
)
async def test_of_a_panel_that_the_page_lacks_nothing_is_sent(
    opened: Open, job: Job, user: User, monkeypatch: pytest.MonkeyPatch,
    panels: tuple[str, ...], types: set[str], parts: set[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(Train, "panels", panels)
    append_run_file(job, "train.log", "a line\n")
    append_run_file(job, "metrics.jsonl", metrics_line(1, a=1))
    append_run_file(job, "system.jsonl", '{"at": 5, "cpu_percent": 50}\n')
    await sync_to_async(watching_run.watch)(job)
    await sync_to_async(end.lose)(job, "Its processes are gone.")
    socket = opened(f"/ws/jobs/{job.pk}/", user)
    await socket.connect()
    await say(socket, 0, 0)
    found = await until_closed(socket)
    assert {one["type"] for one in found if not is_html(one)} == types
    html = "".join(filter(is_html, found))
    assert set(re.findall(r'id="run-(\w+)"', html)) & PARTS == parts


async def test_after_the_first_only_new_events_are_sent(opened: Open, job: Job, user: User) -> None:
    socket = await caught_up(opened, job, user)
    record = sync_to_async(lifecycle.record)
    await record(job, "one")
    whole = await message(socket)
    assert 'id="run-events"' in whole
    await record(job, "two")
    more = await message(socket)
    assert ("two" in more, "one" in more) == (True, False)
    assert 'id="run-timeline" hx-swap-oob="beforeend"' in more


async def test_an_event_from_before_is_put_in_its_place(opened: Open, job: Job, user: User) -> None:
    socket = await caught_up(opened, job, user)
    await sync_to_async(lifecycle.record)(job, "later")
    await message(socket)
    append_run_file(job, "events.jsonl", '{"at": 5, "kind": "long ago"}\n')
    await sync_to_async(watching_run.watch)(job)
    found = await until(socket, lambda found: is_html(found) and "run-events" in found)
    assert found[-1].index("long ago") < found[-1].index("later")


async def test_of_very_many_series_a_page_is_sent_those_it_wants(
    opened: Open, job: Job, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitoring.page.news.WIDE", 2)
    socket = opened(f"/ws/jobs/{job.pk}/", user)
    await socket.connect()
    await socket.send_to(json.dumps({"want": ["b", "none"]}))
    await say(socket, job.revision, 0)
    append_run_file(job, "metrics.jsonl", metrics_line(1, a=1, b=2, c=3))
    await sync_to_async(watching_run.watch)(job)
    found = await message(socket)
    assert (found["wide"], found["series"]) == (True, {"b": [[1, 2.0]]})


async def caught_up(opened: Open, job: Job, user: User) -> WebsocketCommunicator:
    """An open page that has seen everything."""
    socket = opened(f"/ws/jobs/{job.pk}/", user)
    await socket.connect()
    event = await sync_to_async(lambda: job.events.aggregate(last=Max("pk"))["last"] or 0)()
    size = Path(job.run_dir, "train.log").stat().st_size
    await say(socket, job.revision, size, await position(job), event=event)
    return socket


@sync_to_async
def position(job: Job) -> int:
    return points.position([job])[job.pk]


async def test_a_page_that_has_seen_all_is_sent_nothing(opened: Open, job: Job, user: User) -> None:
    await write_steps(job, 1)
    socket = await caught_up(opened, job, user)
    assert await socket.receive_nothing(0.7) is True


async def test_new_points_arrive_once_and_in_order(opened: Open, job: Job, user: User) -> None:
    socket = opened(f"/ws/jobs/{job.pk}/", user)
    await socket.connect()
    await say(socket, job.revision, 0)
    steps: list[int] = []
    for step in range(1, 6):
        await write_steps(job, step)
        [*_, sent] = await until(socket, is_points)
        steps += [n for n, _ in sent["series"]["a"]]
    assert steps == [1, 2, 3, 4, 5]


async def test_after_a_lost_connection_there_is_no_gap(opened: Open, job: Job, user: User) -> None:
    await sync_to_async(append_run_file)(job, "train.log", "one ")
    await write_steps(job, 1)
    first = opened(f"/ws/jobs/{job.pk}/", user)
    await first.connect()
    await say(first, 1, 0)
    found = await until(first, is_html)
    log = next(filter(is_log, found))
    sent = next(filter(is_points, found))
    await first.disconnect()
    await sync_to_async(append_run_file)(job, "train.log", "two ")
    await write_steps(job, 2, 3)
    second = opened(f"/ws/jobs/{job.pk}/", user)
    await second.connect()
    await say(second, job.revision, log["end"], sent["number"])
    found = await until(second, is_html)
    assert next(filter(is_log, found))["text"] == "two "
    assert next(filter(is_points, found))["series"] == {"a": [[2, 2.0], [3, 3.0]]}


async def test_the_log_goes_on_from_its_byte(opened: Open, job: Job, user: User) -> None:
    append_run_file(job, "train.log", "0123456789")
    socket = opened(f"/ws/jobs/{job.pk}/", user)
    await socket.connect()
    await say(socket, job.revision, 4)
    assert await message(socket) == {
        "type": "log",
        "text": "456789",
        "start": 4,
        "end": 10,
        "size": 10,
        "reset": False,
    }


async def test_a_half_written_character_waits_for_its_end(
    opened: Open, job: Job, user: User
) -> None:
    train, more = "a🚂".encode(), "b日".encode()
    append_run_file(job, "train.log", train[:-2])
    socket = opened(f"/ws/jobs/{job.pk}/", user)
    await socket.connect()
    await say(socket, job.revision, 0)
    assert (await message(socket))["text"] == "a"
    append_run_file(job, "train.log", train[-2:] + more[:-1])
    assert (await message(socket))["text"] == "🚂b"
    append_run_file(job, "train.log", more[-1:])
    assert (await message(socket))["text"] == "日"


@pytest.mark.parametrize("log", [-5, 10**30])
async def test_a_byte_that_is_not_there(opened: Open, job: Job, user: User, log: int) -> None:
    append_run_file(job, "train.log", "text")
    await write_steps(job, 1)
    socket = opened(f"/ws/jobs/{job.pk}/", user)
    await socket.connect()
    await say(socket, 0, log)
    assert is_html((await until(socket, is_html))[-1])


async def test_far_behind_the_log_begins_anew(opened: Open, job: Job, user: User) -> None:
    append_run_file(job, "train.log", b"x" * 400_000)
    socket = opened(f"/ws/jobs/{job.pk}/", user)
    await socket.connect()
    await say(socket, job.revision, 0)
    found = await message(socket)
    assert (found["reset"], found["start"], found["end"]) == (True, 334_464, 400_000)


async def test_the_end_of_a_run_is_told(opened: Open, job: Job, user: User) -> None:
    socket = opened(f"/ws/jobs/{job.pk}/", user)
    await socket.connect()
    await say(socket, job.revision, 0)
    await sync_to_async(end.lose)(job, "Its processes are gone.")
    [*_, html] = await until(socket, is_html)
    assert "Its processes are gone." in html
    assert 'data-active="no"' in html


async def test_two_viewers_are_both_told(opened: Open, job: Job, user: User, staff: User) -> None:
    sockets = [opened(f"/ws/jobs/{job.pk}/", who) for who in (user, staff)]
    for socket in sockets:
        await socket.connect()
        await say(socket, job.revision, 0)
    await write_steps(job, 1)
    for socket in sockets:
        [*_, sent] = await until(socket, is_points)
        assert sent["series"] == {"a": [[1, 1.0]]}


async def test_silence_is_broken_by_a_sign_of_life(
    opened: Open, job: Job, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumers, "ALIVE_EVERY", 0.2)
    socket = opened(f"/ws/jobs/{job.pk}/", user)
    await socket.connect()
    await say(socket, job.revision, 0)
    assert await message(socket) == {"type": "alive"}


async def test_an_error_closes_the_socket_so_that_the_page_comes_again(
    opened: Open, job: Job, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: object) -> int:
        raise ZeroDivisionError

    monkeypatch.setattr(live, "log_size", broken)
    socket = opened(f"/ws/jobs/{job.pk}/", user)
    await socket.connect()
    await say(socket, 0, 0)
    closed = await socket.receive_output(10)
    assert (closed["type"], closed["code"]) == ("websocket.close", 1011)


async def test_the_overview_is_sent_at_once_and_after_a_change(
    opened: Open, job: Job, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumers.OverviewConsumer, "look_every", 0.05)
    socket = opened("/ws/overview/", user)
    await socket.connect()
    first = await message(socket)
    assert f'id="board-job-{job.pk}"' in first
    await sync_to_async(end.lose)(job, "Its processes are gone.")
    assert "Its processes are gone." in await message(socket)
    assert await socket.receive_nothing(0.3) is True


async def test_the_overview_shows_ones_own_jobs(opened: Open, job: Job, other: User) -> None:
    socket = opened("/ws/overview/", other)
    await socket.connect()
    assert f'id="board-job-{job.pk}"' not in await message(socket)
