from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from jobs.artifacts.story import known_of
from jobs.checkpoints import list_checkpoints
from jobs.models import Job, Status
from monitoring.page import live
from tests import factories
from tests.factories import append_run_file, write_run_file


@pytest.fixture
def job(user: User) -> Job:
    job = factories.make_job(user, status=Status.RUNNING, started_at=timezone.now())
    write_run_file(job, "train.log", b"")
    return job


@pytest.mark.parametrize(
    ("data", "whole"),
    [
        (b"", 0),
        (b"abc", 3),
        ("é".encode(), 2),
        ("é".encode()[:1], 0),
        (b"a" + "日".encode()[:1], 1),
        (b"a" + "日".encode()[:2], 1),
        (b"a" + "日".encode(), 4),
        ("🚂".encode()[:1], 0),
        ("🚂".encode()[:3], 0),
        ("🚂".encode(), 4),
        (b"a\xff", 1),
        (b"\x80\x80\x80\x80\x80", 5),
        (b"a\x80", 2),
    ],
)
def test_whole_characters(data: bytes, whole: int) -> None:
    assert live._whole_characters(data) == whole


def test_any_cut_of_a_log_gives_the_same_text(job: Job) -> None:
    text = "größe 日本語 🚂\r50%\n" * 3
    data = text.encode()
    for cut in range(len(data)):
        write_run_file(job, "train.log", data[:cut])
        first = live.log_from(job, 0)
        append_run_file(job, "train.log", data[cut:])
        rest = live.log_from(job, first.end)
        assert first.text + rest.text == text
        assert rest.end == len(data)


def test_a_log_from_a_byte_on(job: Job) -> None:
    write_run_file(job, "train.log", "0123456789")
    assert live.log_from(job, 4) == live.LogPart("456789", 4, 10, 10)
    assert live.log_from(job, 10) == live.LogPart("", 10, 10, 10)


def test_a_log_that_is_not_there(user: User) -> None:
    job = factories.make_job(user)
    assert live.log_tail(job) == live.LogPart("", 0, 0, 0)


def test_far_behind_the_page_is_given_the_end(job: Job) -> None:
    write_run_file(job, "train.log", b"x" * 400_000)
    part = live.log_from(job, 0)
    assert (part.start, part.end, part.size, part.reset) == (334_464, 400_000, 400_000, True)
    assert len(part.text) == 65_536


def test_a_log_that_shrank_is_read_again(job: Job) -> None:
    write_run_file(job, "train.log", "short")
    assert live.log_from(job, 100) == live.LogPart("short", 0, 5, 5, reset=True)


def test_the_tail_of_a_long_log(job: Job) -> None:
    write_run_file(job, "train.log", b"a" * 100_000 + b"end")
    tail = live.log_tail(job)
    assert (tail.start, tail.end, tail.reset) == (34_467, 100_003, False)
    assert tail.text.endswith("aend")


def test_samples_since_one(job: Job) -> None:
    gpu = {"index": 0, "util_percent": 50, "memory_used": 7}
    sample(job, 1, cpu_percent=5, gpus=[])
    sample(job, 2, cpu_percent=7, memory_used=9, gpus=[gpu])
    first = job.system_samples.earliest("pk")
    assert [live.sample_shown(sample) for sample in live.samples_since(job.pk, first.pk)] == [
        {"at": 2.0, "cpu_percent": 7, "memory_used": 9, "gpus": [gpu]}
    ]


def sample(job: Job, n: int, **data: Any) -> None:
    at = datetime.fromtimestamp(n, UTC)
    job.system_samples.create(at=at, data=data, attempt=1, position=n)


def test_checkpoints(job: Job) -> None:
    write_run_file(job, "checkpoints/global_step_2/model.pt", "123")
    assert known_of(job) == []  # no page walks the disk
    list_checkpoints(job)
    [saved] = known_of(job)
    assert (saved.attempt, saved.step, saved.artifact.size) == (1, 2, 3)
