"""Detach a process from its caller: from its session, its terminal and its parent."""

import os
import sys
from collections.abc import Callable

READY = b"ready"


def run_detached(work: Callable[[Callable[[], None]], int]) -> int:
    """Run `work(ready)` in a new session below init (or the nearest subreaper).

    In the caller it returns 0 as soon as `work` calls `ready`, else 1 after printing the reason to
    stderr. It never returns in the detached process. The caller keeps no zombie.
    """
    reader, writer = os.pipe()
    middle = os.fork()
    if middle == 0:
        os.close(reader)
        _middle(work, writer)
    os.close(writer)
    os.waitpid(middle, 0)
    answer = _read_all(reader)
    if answer == READY:
        return 0
    print(answer.decode(errors="replace") or "the wrapper died at its start", file=sys.stderr)
    return 1


def _middle(work: Callable[[Callable[[], None]], int], writer: int) -> None:
    os.setsid()
    # After the second fork the process does not lead the session, so it can get no terminal.
    if os.fork() != 0:
        os._exit(0)
    code = 1
    try:
        _silence()
        code = work(lambda: _answer(writer, READY))
    except BaseException as error:
        _answer(writer, f"{type(error).__name__}: {error}".encode())
    finally:
        os._exit(code)


def _silence() -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)
    os.close(null)


def _answer(writer: int, message: bytes) -> None:
    try:
        os.write(writer, message)
        os.close(writer)
    except OSError:
        pass  # already answered, or the caller is gone: neither affects the run


def _read_all(reader: int) -> bytes:
    with os.fdopen(reader, "rb") as file:
        return file.read()
