"""Files to and from a machine; what happens when a line is cut is in ``test_cut``."""

import hashlib
import os
import re
import shutil
import stat
import threading
from pathlib import Path

import pytest

from compute.runners.base import Runner, RunnerError
from compute.runners.ssh.transfer import safe_name
from tests.compute.runners import hostile
from tests.compute.runners.conftest import Place
from tests.sshd import Account

CONTENT = b"a row\n" * 300_000
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "data.parquet"
    path.write_bytes(CONTENT)
    return path


class Told:
    """What was told of the progress."""

    def __init__(self) -> None:
        self.steps: list[tuple[int, int]] = []

    def __call__(self, done: int, total: int) -> None:
        self.steps.append((done, total))


def test_a_file_is_there_and_is_brought_back(place: Place, source: Path, tmp_path: Path) -> None:
    told = Told()
    path = place.runner().put(source, DIGEST, told)
    assert Path(path).read_bytes() == CONTENT
    assert told.steps[-1] == (1_800_000, 1_800_000)
    target = tmp_path / "new/back"
    place.runner().get(path, target, told)
    assert target.read_bytes() == CONTENT
    assert list(target.parent.iterdir()) == [target]


def test_here_nothing_is_copied(place: Place, source: Path) -> None:
    path = place.runner().put(source, DIGEST, Told())
    expected = {"local": source, "ssh": place.workdir / "files" / DIGEST / "data.parquet"}
    assert path == str(expected[place.kind])


def test_an_empty_file(place: Place, tmp_path: Path) -> None:
    source = tmp_path / "empty"
    source.touch()
    path = place.runner().put(source, hashlib.sha256(b"").hexdigest(), Told())
    place.runner().get(path, tmp_path / "back", Told())
    assert (tmp_path / "back").read_bytes() == b""


def test_what_is_not_there(place: Place, tmp_path: Path) -> None:
    with pytest.raises(RunnerError, match="cannot be read"):
        place.runner().put(tmp_path / "none", DIGEST, Told())
    with pytest.raises(RunnerError, match="No such file"):
        place.runner().get(str(place.workdir / "none"), tmp_path / "x", Told())
    assert not (tmp_path / "x").exists()


def test_a_part_that_is_right_is_gone_on_with(place: Place, tmp_path: Path) -> None:
    (place.folder("a") / "big").write_bytes(CONTENT)
    (tmp_path / "big.part").write_bytes(CONTENT[:1_000_000])
    told = Told()
    place.runner().get(str(place.workdir / "a/big"), tmp_path / "big", told)
    assert told.steps[0] == (1_000_000, 1_800_000)
    assert (tmp_path / "big").read_bytes() == CONTENT


@pytest.mark.parametrize("part", [b"another row\n" * 9, CONTENT + b"more"])
def test_a_part_that_is_wrong_is_dropped(place: Place, tmp_path: Path, part: bytes) -> None:
    (place.folder("a") / "big").write_bytes(CONTENT)
    (tmp_path / "big.part").write_bytes(part)
    told = Told()
    place.runner().get(str(place.workdir / "a/big"), tmp_path / "big", told)
    assert told.steps[0] == (0, 1_800_000)
    assert (tmp_path / "big").read_bytes() == CONTENT


def test_a_full_disk_here_is_told(place: Place, small_disk: Path) -> None:
    (place.folder("a") / "big").write_bytes(os.urandom(6 << 20))
    with pytest.raises(RunnerError, match="The disk of this machine is full: big does not fit"):
        place.runner().get(str(place.workdir / "a/big"), small_disk / "big", Told())
    assert [path.name for path in small_disk.iterdir()] == ["big.part"]


def put_far(far: Place, source: Path, content: bytes = CONTENT) -> tuple[Path, Told]:
    source.write_bytes(content)
    told = Told()
    digest = hashlib.sha256(content).hexdigest()
    return Path(far.runner().put(source, digest, told)), told


def test_what_is_there_and_checked_is_not_sent(far: Place, source: Path) -> None:
    path, _ = put_far(far, source)
    inode = path.stat().st_ino
    again, told = put_far(far, source)
    assert again.stat().st_ino == inode
    assert told.steps == [(1_800_000, 1_800_000)]
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_what_was_changed_there_is_sent_again(far: Place, source: Path) -> None:
    path, _ = put_far(far, source)
    path.write_bytes(CONTENT[:-1] + b"!")
    _, told = put_far(far, source)
    assert told.steps[0] == (0, 1_800_000)
    assert path.read_bytes() == CONTENT


def test_what_is_there_without_its_mark_is_looked_at_and_not_sent(far: Place, source: Path) -> None:
    path, _ = put_far(far, source)
    path.with_name(".data.parquet.checked").unlink()
    _, told = put_far(far, source)
    assert told.steps == [(1_800_000, 1_800_000)]
    assert path.with_name(".data.parquet.checked").exists()


def test_the_same_content_by_another_name_is_not_sent(far: Place, source: Path) -> None:
    put_far(far, source)
    other, told = put_far(far, source.with_name("other.parquet"))
    assert told.steps == [(1_800_000, 1_800_000)]
    assert other.name == "other.parquet"
    assert other.read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("there", "first"),
    [(CONTENT[:1_000_000], 1_000_000), (b"other", 0), (CONTENT + b"x", 1_800_000)],
)
def test_a_part_there_is_gone_on_with_if_it_is_the_start_of_it(
    far: Place, source: Path, there: bytes, first: int
) -> None:
    folder = far.folder(f"files/{DIGEST}")
    (folder / ".part").write_bytes(there)
    far.own(folder)
    path, told = put_far(far, source)
    assert told.steps[0] == (first, 1_800_000)
    assert path.read_bytes() == CONTENT
    assert not (folder / ".part").exists()


def test_a_file_that_is_not_what_was_promised_gets_no_name(far: Place, source: Path) -> None:
    with pytest.raises(RunnerError, match=r"which is not the file's\. Did it change meanwhile"):
        far.runner().put(source, "0" * 64, Told())
    assert {path.name for path in (far.workdir / "files" / ("0" * 64)).iterdir()} == {".lock"}


def test_a_digest_that_is_none_makes_no_folder(far: Place, source: Path) -> None:
    for digest in ("../../up", "", "A" * 64):
        with pytest.raises(RunnerError, match="is no SHA-256"):
            far.runner().put(source, digest, Told())
    assert list(far.workdir.iterdir()) == []


@pytest.mark.parametrize("name", hostile.FOLDERS)
def test_a_hostile_name_is_made_plain(far: Place, source: Path, name: str) -> None:
    path, _ = put_far(far, source.with_name(name))
    assert path.read_bytes() == CONTENT
    assert path.name == safe_name(name)
    assert re.fullmatch(r"[A-Za-z0-9._-]+", path.name)
    assert list(far.workdir.rglob("pwned*")) == []


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("data.parquet", "data.parquet"),
        ("größe 1.jsonl", "gr__e_1.jsonl"),
        ("-rf", "_rf"),
        (".part", "_part"),
        ("..", "_."),
        ("x" * 300 + ".py", "x" * 147 + ".py"),
    ],
)
def test_safe_name(name: str, plain: str) -> None:
    assert safe_name(name) == plain


def test_two_that_send_the_same_at_once(far: Place, source: Path) -> None:
    found: list[tuple[str, list[tuple[int, int]]]] = []

    def send() -> None:
        told = Told()
        found.append((far.runner().put(source, DIGEST, told), told.steps))

    threads = [threading.Thread(target=send) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len({path for path, _ in found}) == 1
    assert [steps[0] for _, steps in found].count((0, 1_800_000)) == 1
    assert Path(found[0][0]).read_bytes() == CONTENT


def test_a_full_disk_there_is_told_and_what_was_sent_is_kept(
    far: Place, tmp_path: Path, small_disk: Path
) -> None:
    runner = far.runner(workdir=str(small_disk))
    content = os.urandom(6 << 20)
    source, digest = tmp_path / "big", hashlib.sha256(content).hexdigest()
    source.write_bytes(content)
    with pytest.raises(RunnerError, match=r"The disk of .* is full\. What was sent is kept there"):
        runner.put(source, digest, Told())
    assert (small_disk / "files" / digest / ".part").stat().st_size > 1 << 20


def test_a_home_is_expanded_and_no_folder_is_named_so(
    far: Place, far_account: Account, source: Path
) -> None:
    folder = far_account.folder(far_account.home)
    runner = far.runner(workdir=f"~/{folder.name}/my runs")
    try:
        path = Path(runner.put(source, DIGEST, Told()))
        assert path.parent.parent == folder / "my runs/files"
        there = f"~/{folder.name}/my runs/files/{DIGEST}/data.parquet"
        assert runner.read(there, 0, 5) == b"a row"
        assert list(far_account.home.glob("~*")) == []
    finally:
        shutil.rmtree(folder)


@pytest.mark.parametrize("workdir", ["/", "~root/x", "relative", "~/../.."])
def test_a_work_folder_that_is_refused(far: Place, workdir: str) -> None:
    with pytest.raises(RunnerError, match=r"work folder|home"):
        far.runner(workdir=workdir).sample()


def test_paths_that_are_refused(far: Place) -> None:
    runner: Runner = far.runner()
    for path in ("relative", "a\0b", "/a\0b", ""):
        with pytest.raises(RunnerError):
            runner.read(path, 0, 1)
