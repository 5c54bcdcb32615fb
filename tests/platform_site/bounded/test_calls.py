"""Calls in children: what they return and raise, and what ends them."""

import operator
import os
import signal
import threading
import time
from pathlib import Path

import psutil
import pytest

from datasets.formats.shown import TOKENIZERS
from platform_site.bounded import calls
from platform_site.bounded.calls import bounded, call, of_file
from platform_site.bounded.limits import MIB, Limits, TooMuch, within
from tests.waiting import eventually, together

TIGHT = Limits(seconds=5, memory=128 * MIB)


class OddError(Exception):
    """It can be pickled, and not be read."""

    def __init__(self, one: str, two: str) -> None:
        super().__init__(one + two)


def odd() -> None:
    raise OddError("the ", "disk")


def deep(levels: int) -> list[object]:
    return [deep(levels - 1)] if levels else []


def environment() -> dict[str, str]:
    return dict(os.environ)


def loops(marker: Path) -> None:
    marker.write_text(str(os.getpid()))
    while True:
        pass


def note_and_wait(folder: Path, seconds: float) -> int:
    mine = folder / str(os.getpid())
    mine.touch()
    most = len(list(folder.iterdir()))
    time.sleep(seconds)
    most = max(most, len(list(folder.iterdir())))
    mine.unlink()
    return most


def test_it_is_done_in_another_process() -> None:
    assert bounded(operator.add, [1], [2]) == [1, 2]
    assert bounded(os.getpid) != os.getpid()
    assert bounded(os.getpid) != bounded(os.getpid)


def test_what_it_raises_is_raised_here() -> None:
    with pytest.raises(ZeroDivisionError):
        bounded(operator.truediv, 1, 0)
    with pytest.raises(RuntimeError, match="OddError: the disk"):
        bounded(odd)


def test_endless_work_is_ended_with_its_time(tmp_path: Path) -> None:
    marker = tmp_path / "pid"
    with pytest.raises(TooMuch, match=r"It took more than 0\.5 s, and was ended\."):
        call(Limits(seconds=0.5), (), loops, marker)
    child = int(marker.read_text())
    eventually(lambda: not psutil.pid_exists(child), what="the end of the child")


@pytest.mark.parametrize("asked", [("a", 10**10), ([0], 10**9)])
def test_what_asks_for_too_much_memory_is_ended(asked: tuple[object, int]) -> None:
    with pytest.raises(TooMuch, match="It needed more than 128 MiB of memory, and was ended"):
        call(TIGHT, (), operator.mul, *asked)


def test_an_answer_that_is_too_large_is_refused() -> None:
    with pytest.raises(TooMuch, match="It is larger than 1 MiB: too much for a page"):
        call(Limits(answer=MIB), (), operator.mul, "a", 5 * MIB)


def test_what_is_nested_too_deep_is_refused() -> None:
    with pytest.raises(TooMuch, match="It is nested too deep"):
        bounded(deep, 100_000)


def test_a_few_are_done_at_once_and_the_others_wait(tmp_path: Path) -> None:
    found: list[int] = []
    folder = tmp_path / "now"
    folder.mkdir()
    together(lambda: found.append(bounded(note_and_wait, folder, 0.1)), 8)
    assert len(found) == 8
    assert max(found) <= calls.AT_ONCE


def test_who_gets_no_turn_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "_turns", threading.BoundedSemaphore(1))
    with calls._turns, pytest.raises(TooMuch, match="Try again in a minute"):
        call(Limits(patience=0), (), os.getpid)


def test_the_process_that_forks_may_be_killed() -> None:
    parent = bounded(os.getppid)
    psutil.Process(parent).kill()
    eventually(lambda: not psutil.pid_exists(parent) or psutil.Process(parent).status() == "zombie")
    assert bounded(os.getppid) != parent


def test_a_child_sees_nothing_of_the_site(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAINYARD_SECRET_KEY", "ours")
    psutil.Process(bounded(os.getppid)).kill()  # one that began before has an older environment
    eventually(lambda: "PATH" in _seen())
    assert "TRAINYARD_SECRET_KEY" not in _seen()


def test_what_is_imported_for_a_child_says_nothing_to_the_user(
    capfd: pytest.CaptureFixture[str],
) -> None:
    psutil.Process(bounded(os.getppid)).kill()
    eventually(lambda: "PATH" in _seen())
    assert call(Limits(), TOKENIZERS, operator.add, 1, 2) == 3
    assert capfd.readouterr().err == ""


def _seen() -> dict[str, str]:
    try:
        return bounded(environment)
    except TooMuch:
        return {}


def test_a_file_is_read_once_while_it_is_unchanged(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text("1")
    once = of_file(_by_whom, file)
    assert of_file(_by_whom, file) == once
    assert of_file(_by_whom, tmp_path) != once
    os.utime(file, (1, 1))
    assert of_file(_by_whom, file) != once
    with pytest.raises(FileNotFoundError):
        of_file(Path.read_text, tmp_path / "none")


def _by_whom(path: Path) -> int:
    return os.getpid()


def test_the_limits_are_the_kernels() -> None:
    seen = call(TIGHT, (), _limits)
    assert seen[0] < 2 * 128 * MIB + seen[1]
    assert seen[2] == (0, 0)


def _limits() -> tuple[int, int, tuple[int, int]]:
    import resource

    from platform_site.bounded.limits import allocated

    return (
        resource.getrlimit(resource.RLIMIT_DATA)[0],
        allocated(),
        resource.getrlimit(resource.RLIMIT_CORE),
    )


def test_python_code_that_takes_too_long_is_broken_off() -> None:
    def swallows() -> None:
        while True:
            try:
                sum(range(1000))
            except Exception:
                time.sleep(0)

    with (
        pytest.raises(TooMuch, match=r"No answer\. It took more than 0\.2 s"),
        within(0.2, "No answer."),
    ):
        swallows()
    with within(0.2, "No answer."):
        pass
    time.sleep(0)  # and no alarm is left over
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
