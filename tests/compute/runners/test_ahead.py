from pathlib import Path

import pytest

from compute.runners.ahead import ReadAhead
from compute.runners.base import RunnerError, Stretch
from compute.runners.local.runner import LocalRunner


class CountingRunner(LocalRunner):
    def __init__(self) -> None:
        super().__init__("python", "/")
        self.reads: list[tuple[str, int]] = []

    def read_many(self, stretches: object) -> list[bytes]:
        found = super().read_many(stretches)  # type: ignore[arg-type]
        self.reads.clear()
        return found

    def read(self, path: str, offset: int, limit: int) -> bytes:
        self.reads.append((path, offset))
        return super().read(path, offset, limit)


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    return str(path)


def test_what_was_fetched_is_not_asked_for_again(file: str) -> None:
    runner = CountingRunner()
    ahead = ReadAhead(runner, [Stretch(file, 2, 100), Stretch("/nowhere", 0, 10)])
    assert ahead.read(file, 2, 4) == b"2345"
    assert ahead.read(file, 6, 100) == b"6789"
    assert ahead.read(file, 10, 100) == b""
    assert ahead.read("/nowhere", 0, 10) == b""
    assert runner.reads == []


def test_a_file_longer_than_the_stretch_is_read_on(file: str) -> None:
    runner = CountingRunner()
    ahead = ReadAhead(runner, [Stretch(file, 0, 4)])
    assert ahead.read(file, 0, 4) == b"0123"
    assert ahead.read(file, 2, 4) == b"2345"
    assert ahead.read(file, 0, 8) == b"01234567"
    assert ahead.read(file, 1, 1) == b"1"
    assert runner.reads == [(file, 2), (file, 0)]


def test_other_places_are_asked_for(file: str) -> None:
    runner = CountingRunner()
    ahead = ReadAhead(runner, [Stretch(file, 5, 100)])
    assert ahead.read(file, 0, 2) == b"01"
    assert ahead.read(file, 11, 2) == b""
    assert runner.reads == [(file, 0), (file, 11)]


def test_a_file_that_cannot_be_read_keeps_no_other_out(file: str, tmp_path: Path) -> None:
    runner = CountingRunner()
    ahead = ReadAhead(runner, [Stretch(str(tmp_path), 0, 4), Stretch(file, 0, 4)])
    assert ahead.read(file, 0, 4) == b"0123"
    with pytest.raises(RunnerError, match="Is a directory"):
        ahead.read(str(tmp_path), 0, 4)
