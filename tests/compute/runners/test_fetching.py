"""A folder that comes from a machine: whole or not at all, and no further than its place."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from compute.runners import fetching
from compute.runners.base import FileFact, RunnerError
from compute.runners.fetching import fetch
from tests.compute.runners.conftest import Place

FILES = {
    "model/a.pt": os.urandom(3 << 20),
    "model/b.pt": b"b" * 70_000,
    "data.pt": b"",
    "x y": b"1",
}


@pytest.fixture(autouse=True)
def little_room_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "MARGIN", 1 << 20)


@pytest.fixture
def folder(place: Place) -> Path:
    made = place.folder("checkpoints/global_step_3")
    for name, content in FILES.items():
        (made / name).parent.mkdir(exist_ok=True)
        (made / name).write_bytes(content)
    place.own(made)
    return made


def ignore(done: int, total: int) -> None:
    pass


def found(target: Path) -> dict[str, bytes]:
    return {str(p.relative_to(target)): p.read_bytes() for p in target.rglob("*") if p.is_file()}


def test_a_folder_comes_as_it_is_there(place: Place, folder: Path, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    fetch(place.runner(), str(folder), tmp_path / "in/here", lambda *said: told.append(said))
    assert found(tmp_path / "in/here") == FILES
    size = sum(map(len, FILES.values()))
    assert told[-1] == (size, size)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


class Cut(Exception):
    pass


def test_what_was_cut_is_gone_on_with(place: Place, folder: Path, tmp_path: Path) -> None:
    def cut_late(done: int, total: int) -> None:
        if done > len(FILES["model/a.pt"]):
            raise Cut

    target = tmp_path / "in/here"
    with pytest.raises(Cut):
        fetch(place.runner(), str(folder), target, cut_late)
    assert not target.exists()
    [kept] = target.parent.rglob("a.pt")
    inode = kept.stat().st_ino
    (folder / "data.pt").unlink()  # it is not wanted any more
    fetch(place.runner(), str(folder), target, ignore)
    assert (target / "model/a.pt").stat().st_ino == inode
    assert found(target) == {name: data for name, data in FILES.items() if name != "data.pt"}


def test_two_at_once_bring_it_once(place: Place, folder: Path, tmp_path: Path) -> None:
    waits, goes = threading.Event(), threading.Event()
    errors: list[BaseException] = []

    def hold(done: int, total: int) -> None:
        waits.set()
        assert goes.wait(20)

    def bring() -> None:
        try:
            fetch(place.runner(), str(folder), tmp_path / "here", hold)
        except BaseException as error:
            errors.append(error)

    first = threading.Thread(target=bring)
    first.start()
    assert waits.wait(20)

    def second_waits(done: int, total: int) -> None:
        if not goes.is_set():
            assert done == 0
            goes.set()

    fetch(place.runner(), str(folder), tmp_path / "here", second_waits)
    first.join(20)
    assert errors == []
    assert found(tmp_path / "here") == FILES


def test_no_room_is_said_before_anything_comes(
    place: Place, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "MARGIN", 1 << 60)
    with pytest.raises(RunnerError, match=r"[\d.]+ \w?i?B are to come"):
        fetch(place.runner(), str(folder), tmp_path / "in/here", ignore)
    assert not list((tmp_path / "in").rglob("*.pt"))


def test_what_is_gone(place: Place, tmp_path: Path) -> None:
    with pytest.raises(RunnerError, match="There are no files in"):
        fetch(place.runner(), str(place.workdir / "none"), tmp_path / "here", ignore)


@pytest.mark.parametrize("name", ["../up", "/etc/passwd", "a/../../up", "..", "a\0b", ""])
def test_a_name_that_leads_elsewhere_brings_nothing(
    place: Place, folder: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = place.runner()

    def files(path: str) -> Iterator[FileFact]:
        yield FileFact("a", 1, 0.0)
        yield FileFact(name, 1, 0.0)

    monkeypatch.setattr(runner, "files", files)
    with pytest.raises(RunnerError, match="whose name leads elsewhere"):
        fetch(runner, str(folder), tmp_path / "in/here", ignore)
    assert not (tmp_path / "in").exists()


def test_a_file_that_is_larger_than_was_said_is_refused(
    place: Place, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The room was looked at for what was said."""
    runner = place.runner()
    monkeypatch.setattr(runner, "files", lambda path: iter([FileFact("model/a.pt", 10, 0.0)]))
    with pytest.raises(RunnerError, match=r"model/a\.pt changed while it was brought here"):
        fetch(runner, str(folder), tmp_path / "in/here", ignore)
    assert not any(p.stat().st_size for p in (tmp_path / "in").rglob("*") if p.is_file())
