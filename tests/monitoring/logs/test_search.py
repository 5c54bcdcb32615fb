"""The search through a whole log: what matches, where it is, and how it goes on."""

from pathlib import Path

import pytest

from monitoring.logs import blocks
from monitoring.logs.question import Question, fault_of
from monitoring.logs.search import Stretch, search

LOG = (
    "INFO 11-29 18:02:30 [core.py:58] loading\n"
    "\x1b[36m(TaskRunner pid=77)\x1b[0m step:1 - critic/score/mean:0.5\n"
    "\x1b[36m(WorkerDict pid=81, ip=10.0.0.2)\x1b[0m UserWarning: caf\u00e9 is slow\n"
    "load:  10%\rload:  50%\rload: 100%\n"
    "[rank1]: Traceback (most recent call last):\n"
    "[rank1]: ValueError: no such key\n"
    "[rank12]: fine"
)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "train.log"
    path.write_text(LOG)
    return path


def numbers(path: Path, **asked: object) -> list[int]:
    return [hit.number for hit in search(path, Question(**asked)).hits]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"words": "SCORE/mean:0.5"}, [2]),  # words match in any case
        ({"words": r"^\(\w+ pid=77\) step:\d", "is_regex": True}, [2]),  # colours do not count
        ({"words": "(?i)VALUEERROR.*key$", "is_regex": True}, [6]),
        ({"words": "50%"}, []),  # it was written over
        ({"words": "100%"}, [4]),
        ({"words": "."}, [1, 2, 3]),  # no expression
        ({"level": "error"}, [5, 6]),
        ({"level": "warning"}, [3, 5, 6]),
        ({"level": "info"}, [1, 3, 5, 6]),
        ({"rank": 1}, [5, 6]),
        ({"rank": 12}, [7]),
        ({"actor": "workerdict"}, [3]),
        ({"actor": "pid=77"}, [2]),
        ({"words": "key", "level": "error", "rank": 1}, [6]),
        ({"words": "key", "rank": 0}, []),
        ({"words": "caf\u00e9"}, [3]),
    ],
)
def test_what_matches(log: Path, asked: dict[str, object], found: list[int]) -> None:
    assert numbers(log, **asked) == found


def test_a_hit_says_where_it_is_and_what_was_found(log: Path) -> None:
    (hit,) = search(log, Question(words="no such", is_regex=True)).hits
    assert LOG.encode()[hit.start :].startswith(b"[rank1]: ValueError")
    assert (hit.before, hit.found, hit.after) == ("[rank1]: ValueError: ", "no such", " key")
    assert hit.level == "error"


def test_it_goes_on_where_it_stopped(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In blocks of any size, and a hit at a time, the same lines are found."""
    question = Question(words="[aeo]", is_regex=True)
    whole = [(hit.start, hit.number, hit.text) for hit in search(log, question).hits]
    assert len(whole) == 7
    for size in (80, 120, 300):
        monkeypatch.setattr(blocks, "BLOCK", size)
        part, found = Stretch(0, 1, 0, False), list[tuple[int, int, str]]()
        while not part.is_whole:
            part = search(log, question, start=part.end, line=part.line, most=1)
            found += [(hit.start, hit.number, hit.text) for hit in part.hits]
        assert found == whole


def test_when_the_time_is_over_it_says_how_far_it_came(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "BLOCK", 80)
    part = search(log, Question(words="fine"), seconds=-1)
    assert (part.hits, part.is_whole, part.end, part.line) == ([], False, 41, 2)


def test_a_line_that_is_being_written_waits(log: Path) -> None:
    part = search(log, Question(words="fine"), to_end=False)
    assert (part.hits, part.line, part.is_whole) == ([], 7, True)
    with log.open("a") as file:
        file.write(" now\n")
    again = search(log, Question(words="fine"), start=part.end, line=part.line, to_end=False)
    assert [(hit.number, hit.text) for hit in again.hits] == [(7, "[rank12]: fine now")]


def test_a_secret_is_neither_found_nor_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "BLOCK", 16)
    path, secret = tmp_path / "train.log", "hunter2-hunter2"
    path.write_text(f"key {secret}\n" + "x" * 30 + secret + "y\n")
    assert search(path, Question(words="hunter"), [secret.encode()]).hits == []
    shown = search(path, Question(words="."), [secret.encode()], most=1000)
    every = search(path, Question(words=".", is_regex=True), [secret.encode()]).hits
    assert "unter" not in "".join(hit.text for hit in every)
    assert shown.hits == []


def test_any_bytes_are_searched(tmp_path: Path) -> None:
    path = tmp_path / "train.log"
    path.write_bytes(b"\xff\xfe\x00 lost\n\n\n" + b"z" * 10_000 + b"lost" + b"z" * 10_000)
    first, last = search(path, Question(words="lost")).hits
    assert (first.number, last.number) == (1, 4)
    assert len(last.text) < 600
    path.write_bytes(b"")
    assert search(path, Question(words="lost")).is_whole


def test_a_part_of_a_letter_is_found(tmp_path: Path) -> None:
    path = tmp_path / "train.log"
    path.write_text("caf\u00e9\n")
    (hit,) = search(path, Question(words=r"caf\C", is_regex=True)).hits
    assert (hit.before, hit.found, hit.after) == ("", "caf\ufffd", "\ufffd")


def test_an_expression_that_hangs_others_takes_its_time(tmp_path: Path) -> None:
    path = tmp_path / "train.log"
    path.write_text("a" * 200_000 + "\n")
    assert search(path, Question(words="(a+)+$b", is_regex=True)).hits == []


@pytest.mark.parametrize("pattern", ["(", "(?=a)", r"(a)\1", "[z-a]", "a{2,1}", "(?P<n"])
def test_what_is_no_expression(pattern: str) -> None:
    assert fault_of(pattern).startswith("This is no regular expression that can be searched for: ")


def test_what_is_one() -> None:
    assert fault_of(r"(?i)loss.*nan|\bOOM\b") == ""
