from pathlib import Path

import pytest
from django.contrib.auth.models import User

from datasets import hub, services, working
from platform_site.work.models import State
from tests.e2e.site import free_port
from tests.fakes.fake_hub import fake_hub

ROWS = b'{"question": "1+1=?", "answer": "2"}\n' * 3


def quiet(done: int, total: int) -> None:
    pass


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")


@pytest.mark.django_db
def test_a_data_set_of_the_hub_becomes_rows(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    with fake_hub({"README.md": b"", "data/rows.jsonl": ROWS}) as address:
        monkeypatch.setenv("HF_ENDPOINT", address)
        source = services.import_hub(services.create("sums", user), "owner/sums", user)
        assert working.work_off(source)
    source.refresh_from_db()
    assert (source.state, source.rows, source.error) == (State.DONE, 3, "")
    assert source.path == ""
    assert [path.name for path in source.folder.parent.iterdir()] == [source.folder.name]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("owner/sums", "has several files: name one"),
        ("owner/none", "no data set owner/none"),
        ("owner/sums:none.jsonl", "could not be fetched|has no data set"),
        ("no name", "is not owner/name"),
        ("../etc/passwd", "is not owner/name"),
    ],
)
def test_what_cannot_be_fetched_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, says: str
) -> None:
    with fake_hub({"a.jsonl": ROWS, "b.jsonl": ROWS}) as address:
        monkeypatch.setenv("HF_ENDPOINT", address)
        with pytest.raises(ValueError, match=says):
            hub.fetch(name, tmp_path / "out", quiet)


def test_without_a_network_it_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(ValueError, match="could not be fetched from http://127") as raised:
        hub.fetch("owner/sums", tmp_path / "out", quiet)
    for way in ("HTTPS_PROXY", "HF_ENDPOINT", "upload", "file on this machine"):
        assert way in str(raised.value)
