"""Which folders of this machine count as a model to send, and their digests."""

import hashlib
import os
from pathlib import Path

import pytest

from compute.runners.base import RunnerError
from jobs.files import digests, model_folders
from jobs.files.digests import digest_of
from jobs.files.model_folders import files_of, own_model, pieces_of
from jobs.models import KnownDigest
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def model(home: Path) -> Path:
    return factories.make_model_folder(home / "models/m")


def ignore(done: int, total: int) -> None:
    pass


def test_the_links_of_a_hub_cache_are_resolved(model: Path, home: Path) -> None:
    blob = home / "blobs/abc"
    blob.parent.mkdir()
    content = (model / "model.safetensors").read_bytes()
    blob.write_bytes(content)
    (model / "model.safetensors").unlink()
    (model / "model.safetensors").symlink_to(os.path.relpath(blob, model))
    (model / ".cache").mkdir()
    (model / ".cache/lock").touch()
    found = {piece.name: piece for piece in pieces_of(own_model(str(model)), ignore)}
    assert set(found) == {"config.json", "model.safetensors", "tokenizer.json"}
    weights = found["model.safetensors"]
    assert weights.size == len(content)
    assert weights.digest == hashlib.sha256(content).hexdigest()


def test_links_that_lead_outside_are_refused(model: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("mine")
    (model / "notes.txt").symlink_to(tmp_path / "secret")
    with pytest.raises(RunnerError, match=r"notes\.txt is no file in the folders that may be read"):
        pieces_of(model, ignore)
    (model / "notes.txt").unlink()
    (model / "more").symlink_to(tmp_path)
    with pytest.raises(ValueError, match="more is a link to a folder"):
        files_of(model)


def test_what_is_no_model_is_not_sent(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValueError, match="lies outside the folders"):
        own_model(str(factories.make_model_folder(tmp_path / "outside")))
    with pytest.raises(ValueError, match="holds Trainyard's own files"):
        own_model(str(factories.make_model_folder(home)))
    with pytest.raises(ValueError, match="There is no folder"):
        own_model(str(home / "none"))
    monkeypatch.setattr(model_folders, "MOST_FILES", 2)
    with pytest.raises(ValueError, match="has more than 2 files"):
        files_of(factories.make_model_folder(home / "many"))


@pytest.fixture
def large(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(digests, "LARGE", 4)
    monkeypatch.setattr(digests, "SETTLED", -1.0)
    path = home / "large"
    path.write_bytes(b"one two")
    return path


def test_a_large_file_is_read_once(large: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = digest_of(large)
    assert first == hashlib.sha256(b"one two").hexdigest()
    read: list[int] = []
    monkeypatch.setattr(digests, "_hashed", lambda *_: pytest.fail("it was read again"))
    assert digest_of(large, read.append) == first
    assert read == [7]


def test_a_file_that_was_touched_is_read_again(large: Path) -> None:
    digest_of(large)
    facts = large.stat()
    large.write_bytes(b"two one")
    os.utime(large, ns=(facts.st_atime_ns, facts.st_mtime_ns))  # it looks unchanged
    assert digest_of(large) == hashlib.sha256(b"two one").hexdigest()
    assert KnownDigest.objects.count() == 1


def test_a_file_that_is_still_being_written_is_not_remembered(
    large: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(digests, "SETTLED", 60.0)
    digest_of(large)
    assert not KnownDigest.objects.exists()

    def append(count: int) -> None:
        with large.open("ab") as file:
            file.write(b"!")

    with pytest.raises(RunnerError, match="changed while it was read"):
        digest_of(large, lambda count: append(count) if large.stat().st_size < 10 else None)
