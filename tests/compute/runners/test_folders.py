"""A folder that a machine lacks: sent by content, there as a whole, and never twice."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from compute.runners.base import Piece, RunnerError
from compute.runners.ssh import folders
from tests.compute.runners.conftest import Place
from tests.compute.runners.hostile import FOLDERS

WEIGHTS = os.urandom(3 << 20)


@pytest.fixture(autouse=True)
def little_room_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "MARGIN", 1 << 20)


class Told(list[tuple[int, int]]):
    def __call__(self, done: int, total: int) -> None:
        self.append((done, total))


def pieces(folder: Path, files: dict[str, bytes]) -> list[Piece]:
    made = []
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        made.append(Piece(name, path, len(content), digest))
    return made


def put(far: Place, folder: Path, of: Sequence[Piece]) -> tuple[Path, Told]:
    told = Told()
    return Path(far.runner().put_folder(folder, of, told)), told


MODEL = {"config.json": b"{}", "a/w.safetensors": WEIGHTS, "same.bin": b"{}", "empty": b""}


def test_a_folder_is_there_as_it_is_here(far: Place, tmp_path: Path) -> None:
    path, told = put(far, tmp_path / "m", pieces(tmp_path / "m", MODEL))
    found = {str(p.relative_to(path)): p.read_bytes() for p in path.rglob("*") if p.is_file()}
    assert found == MODEL
    assert path.parent == far.workdir / "models"
    size = len(WEIGHTS) + 2
    assert told[0] <= (2, size)
    assert told[-1] == (size, size)


def test_the_same_bytes_are_sent_and_kept_once(far: Place, tmp_path: Path) -> None:
    first, _ = put(far, tmp_path / "m", pieces(tmp_path / "m", MODEL))
    _, told = put(far, tmp_path / "m", pieces(tmp_path / "m", MODEL))
    assert told == [(len(WEIGHTS) + 2, len(WEIGHTS) + 2)]
    other, told = put(far, tmp_path / "n", pieces(tmp_path / "n", MODEL | {"config.json": b"{ }"}))
    assert other != first
    assert told[0] == (len(WEIGHTS) + 2, len(WEIGHTS) + 5)  # but for the new file, all was there
    assert (first / "a/w.safetensors").samefile(other / "a/w.safetensors")


def test_a_folder_that_was_changed_there_is_made_anew(far: Place, tmp_path: Path) -> None:
    path, _ = put(far, tmp_path / "m", pieces(tmp_path / "m", MODEL))
    (path / "config.json").unlink()
    (path / "a/w.safetensors").write_bytes(b"other")
    again, _ = put(far, tmp_path / "m", pieces(tmp_path / "m", MODEL))
    assert again == path
    assert (path / "a/w.safetensors").read_bytes() == WEIGHTS
    assert (path / "config.json").read_bytes() == b"{}"
    assert [p for p in path.parent.iterdir() if p.is_dir()] == [path]


def test_names_that_would_do_harm(far: Place, tmp_path: Path) -> None:
    files = {f"{name}/{name}": name.encode() for name in FOLDERS}
    path, _ = put(far, tmp_path / "m", pieces(tmp_path / "m", files))
    assert {str(p.relative_to(path)) for p in path.rglob("*") if p.is_file()} == set(files)
    assert not list(far.workdir.rglob("pwned"))


def test_a_folder_without_room_is_refused_before_it_is_sent(
    far: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "MARGIN", 1 << 60)
    with pytest.raises(RunnerError, match=r"has [\d.]+ \w?i?B free; [\d.]+ \w?i?B are to be sent"):
        put(far, tmp_path / "m", pieces(tmp_path / "m", MODEL))
    assert list(far.workdir.iterdir()) == []


def test_what_arrives_wrong_makes_no_folder(far: Place, tmp_path: Path) -> None:
    made = pieces(tmp_path / "m", MODEL)
    (tmp_path / "m/a/w.safetensors").write_bytes(b"x" * len(WEIGHTS))  # it changed meanwhile
    with pytest.raises(RunnerError, match="Did it change meanwhile"):
        put(far, tmp_path / "m", made)
    assert not (far.workdir / "models").exists()


def test_an_answer_that_is_none(far: Place, tmp_path: Path) -> None:
    head = '{"there": false, "missing": 7}'
    script = f"printf 'TRAINYARD ANSWERS\\n\\000\\000\\000\\{len(head):03o}{head}'; cat > /dev/null"
    python = far.python(script)
    with pytest.raises(RunnerError, match="did not say what it has of the folder"):
        far.runner(python).put_folder(tmp_path, pieces(tmp_path / "m", MODEL), Told())
