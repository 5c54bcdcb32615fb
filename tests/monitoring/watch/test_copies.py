"""Answers of runs on other machines come here as they are written, as far as there is room."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import Settings

from compute.models import Machine
from compute.runners.base import FileFact, RunnerError, Unreachable
from compute.runners.local.runner import LocalRunner
from jobs.models import Job
from jobs.places import mirror_folder
from monitoring import copies
from monitoring.copies import answers_left_out, keep_answers
from monitoring.watch import columns
from tests import factories
from tests.monitoring.answers.test_prompts import ROWS, answer


class Far(LocalRunner):
    """A stand-in for SSH: it reads the far folder here, and counts what it is asked."""

    def __init__(self) -> None:
        super().__init__("", "/")
        self.asked: list[str] = []
        self.fails: Exception | None = None

    def files(self, path: str) -> Iterator[FileFact]:
        self.asked.append(path.rpartition("/")[2])
        if self.fails:
            raise self.fails
        return super().files(path)


@pytest.fixture
def job(user: User, tmp_path: Path) -> Job:
    machine = factories.make_ssh_machine()
    Machine.objects.filter(pk=machine.pk).update(workdir=str(tmp_path / "far"))
    spec = factories.grpo_spec().to_json()
    machine.refresh_from_db()
    return factories.make_job(
        user, kind="grpo", spec=spec, machine=machine, status="running", attempt=1
    )


@pytest.fixture
def far() -> Far:
    return Far()


def there(job: Job, step: int, kind: str = "rollouts") -> Path:
    return factories.write_lines(Path(job.run_dir, kind, f"{step}.jsonl"), ROWS)


def here(job: Job, name: str) -> Path:
    return mirror_folder(job.uuid) / f"attempt-{job.attempt}" / name


def keep(job: Job, far: Far, *, is_new: bool = True, is_over: bool = False) -> None:
    keep_answers(job, far, is_new=is_new, is_over=is_over)


def test_files_come_whole_and_go_on_where_they_ended(job: Job, far: Far) -> None:
    path = there(job, 1)
    whole = path.read_bytes()
    path.write_bytes(whole[:100])
    there(job, 0, "validation")
    (path.parent / "notes.txt").write_text("none of ours")
    keep(job, far)
    assert here(job, "rollouts/1.jsonl").read_bytes() == whole[:100]
    path.write_bytes(whole)
    keep(job, far)
    assert here(job, "rollouts/1.jsonl").read_bytes() == whole
    assert here(job, "validation/0.jsonl").exists()
    assert not here(job, "rollouts/notes.txt").exists()
    assert answers_left_out(job) == ""


def test_a_step_that_was_written_anew_is_read_anew(job: Job, far: Far) -> None:
    path = there(job, 1)
    keep(job, far)
    other = path.read_bytes().replace(b"three", b"seven")
    path.write_bytes(other)
    os.utime(path, (1, 1))
    keep(job, far)
    assert here(job, "rollouts/1.jsonl").read_bytes() == other
    path.write_bytes(other[:50])
    keep(job, far)
    assert here(job, "rollouts/1.jsonl").read_bytes() == other[:50]


def test_nothing_is_asked_without_a_step_or_of_such_a_run(job: Job, far: Far, user: User) -> None:
    keep(job, far, is_new=False)
    keep(factories.make_job(user), far, is_over=True)
    assert far.asked == []
    keep(job, far, is_new=False, is_over=True)
    assert far.asked == ["rollouts", "validation"]


def test_without_room_the_rest_stays_and_the_page_says_so(
    job: Job, far: Far, settings: Settings, page: Client
) -> None:
    first = there(job, 1)
    there(job, 2)
    settings.TRAINYARD_LARGEST_LOG = first.stat().st_size + 10
    keep(job, far)
    assert here(job, "rollouts/1.jsonl").exists()
    assert not here(job, "rollouts/2.jsonl").exists()
    shown = page.get(f"/jobs/{job.pk}/answers/").content.decode()
    assert "Some answers of this run were not brought here" in shown
    assert f"All are in {job.run_dir}" in shown


def test_what_takes_too_long_comes_with_the_next_look(
    job: Job, far: Far, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copies, "BRIEF", -1.0)
    monkeypatch.setattr(copies, "CHUNK", 100)
    path = there(job, 1)
    for _ in range(len(path.read_bytes()) // 100 + 1):
        keep(job, far, is_new=not far.asked)
    assert here(job, "rollouts/1.jsonl").read_bytes() == path.read_bytes()
    asked = len(far.asked)
    keep(job, far, is_new=False)
    keep(job, far, is_new=False)
    assert len(far.asked) <= asked + 2, "once more, to see that nothing is left"


def test_a_machine_that_cannot_say_costs_the_answers_only(job: Job, far: Far) -> None:
    far.fails = RunnerError("A slow disk.")
    keep(job, far)
    far.fails = Unreachable("Gone.")
    with pytest.raises(Unreachable):
        keep(job, far)


def test_the_page_shows_what_came(job: Job, far: Far, page: Client) -> None:
    factories.write_lines(Path(job.run_dir, "rollouts/3.jsonl"), [*ROWS, answer("d", 0, "x")])
    keep(job, far)
    shown = " ".join(page.get(f"/jobs/{job.pk}/answers/").content.decode().split())
    assert "4 prompts, 6 answers in the step" in shown


def test_the_columns_of_a_large_step_are_made_before_somebody_looks(
    job: Job, far: Far, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = there(job, 1)
    there(job, 2, "validation")
    keep(job, far)
    kept = mirror_folder(job.uuid) / "attempt-1/columns"
    columns.make_columns(job)
    assert not kept.exists(), "they are small"
    monkeypatch.setattr(columns, "LARGE", path.stat().st_size)
    columns.make_columns(job)
    assert {found.name for found in kept.glob("*/*.npz")} == {"1.npz", "2.npz"}
    monkeypatch.setattr(columns, "call", lambda *_: pytest.fail("They are made again."))
    columns.make_columns(job)
