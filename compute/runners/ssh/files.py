"""Asks about the far disk. One small process stays there, and answers in one round trip each."""

import json
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, suppress
from typing import Any

from compute.runners.base import RunnerError, RunnerUnsure, Unreachable
from compute.runners.far.common import HEAD, frame
from compute.runners.ssh.process import (
    LOST,
    MOST_LAST_WORDS,
    NOT_EXECUTABLE,
    NOT_FOUND,
    Cut,
    Ended,
    FarProcess,
)
from compute.runners.ssh.programs import LOADER, MARK, program

LONGEST_HEADER = 64 << 20  # bytes; the list of a run's files is the longest
ANSWERS_WITHIN = 30.0  # seconds; a disk that takes longer is taken for gone
# Files can be read without the training environment, which may be gone or not made yet.
ANY_PYTHON = "python3"

Start = Callable[[list[str]], AbstractContextManager[FarProcess]]


class FarFiles:
    """Answers of ``far/serve.py``, for all threads of this process."""

    def __init__(self, start: Start, python: str, name: str) -> None:
        self._start, self._python, self._name = start, python, name
        self._lock = threading.Lock()
        self._held = ExitStack()
        self._process: FarProcess | None = None

    def ask(self, do: str, **asked: Any) -> tuple[dict[str, Any], bytes]:
        """The answer's header and bytes. A connection that was cut meanwhile is made again.

        Raises ``RunnerError`` with the far side's sentence, or ``Unreachable``.
        """
        with self._lock:
            try:
                return self._ask(do, asked)
            except Cut:
                self._drop()
            try:
                return self._ask(do, asked)
            except Cut as error:
                self._drop()
                raise Unreachable(f"The connection to {self._name} was cut.") from error

    def close(self) -> None:
        with self._lock:
            self._drop()

    def _ask(self, do: str, asked: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
        process = self._process or self._begin()
        try:
            process.send(frame({"do": do, **asked}), ANSWERS_WITHIN)
            header = read_header(process, ANSWERS_WITHIN)
            payload = process.read(_payload(header, asked), ANSWERS_WITHIN)
        except ValueError as error:
            self._drop()
            raise RunnerError(f"{self._name} gave an answer that is none: {error}.") from error
        except RunnerUnsure as error:
            # A late answer would be taken for the answer to the next question.
            self._drop()
            raise Unreachable(
                f"{self._name} did not say within {ANSWERS_WITHIN:.0f} s what is on its disk."
            ) from error
        if "error" in header:
            raise RunnerError(str(header["error"]))
        return header, payload

    def _begin(self) -> FarProcess:
        try:
            self._process = self._begin_with(self._python)
        except Ended as error:
            if error.code not in (NOT_FOUND, NOT_EXECUTABLE):
                raise
            self._process = self._begin_with(ANY_PYTHON)
        return self._process

    def _begin_with(self, python: str) -> FarProcess:
        with ExitStack() as stack:
            process = stack.enter_context(self._start([python, "-c", LOADER]))
            try:
                process.send(program("serve"))
                process.read_past(MARK, MOST_LAST_WORDS)
            except Cut:
                raise process.last_words() from None
            self._held = stack.pop_all()
            return process

    def _drop(self) -> None:
        self._process = None
        with suppress(*LOST):
            self._held.close()


def _payload(header: dict[str, Any], asked: dict[str, Any]) -> int:
    """How many bytes the answer has: never more than was asked for. Raises ``ValueError``."""
    sizes = header.get("sizes", [])
    limits = [limit for _, _, limit in asked.get("stretches", ())]
    if "error" in header:
        return 0
    if len(sizes) != len(limits) or any(
        not isinstance(size, int) or not 0 <= size <= limit
        for size, limit in zip(sizes, limits, strict=True)
    ):
        raise ValueError("its sizes are not those that were asked for")
    return sum(sizes)


def read_header(process: FarProcess, within: float) -> dict[str, Any]:
    """The next header of a far program. Raises ``ValueError`` when it is not one."""
    length = int.from_bytes(process.read(HEAD, within), "big")
    if length > LONGEST_HEADER:
        raise ValueError(f"{length} bytes are too many")
    try:
        header = json.loads(process.read(length, within))
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    if not isinstance(header, dict):
        raise ValueError("it is no object")
    return header
