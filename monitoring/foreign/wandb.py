"""The file of an offline W&B run: LevelDB's log of records, each a ``Record`` of protobuf.

https://github.com/wandb/wandb/blob/main/wandb/proto/wandb_internal.proto
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from monitoring.foreign.found import (
    BROKEN_RECORDS,
    COMPLETED,
    CUT_OFF,
    FAILED,
    NO_NUMBER,
    NO_STEP,
    Points,
    Run,
    Tell,
    as_number,
    as_step,
)
from monitoring.foreign.wire import fields

TOOL = "Weights & Biases"
MAGIC = b":W&B"
LOG = "files/output.log"
BLOCK = 1 << 15
HEAD = 7  # of the file, and of each piece: a checksum, a length and a kind
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4
HISTORY, CONFIG, RUN, EXIT = 2, 5, 17, 18  # of Record
ITEM, STEP = 1, 2  # of HistoryRecord
KEY, NESTED, JSON = 1, 2, 16  # of an item
RUN_CONFIG, DISPLAY_NAME = 4, 8  # of RunRecord
RUN_ID = 1
PLAIN = b"\x82\x01"  # the tag of JSON
OWN = b"_"  # W&B's own keys begin so


def read(path: Path, run: Run, tell: Tell) -> None:
    """Raises ``OSError``, and ``ValueError`` for a file that is none."""
    reader = _Reader(run)
    with path.open("rb") as file:
        if not file.read(HEAD).startswith(MAGIC):
            raise ValueError("It is no file of an offline W&B run.")
        for record in _records(file, run, tell):
            try:
                reader.record(record)
            except (ValueError, IndexError, TypeError, AttributeError, RecursionError):
                run.left_out[BROKEN_RECORDS] += 1
    run.config = settings_of(run.config)
    log = path.parent / LOG
    is_own = log.resolve().is_relative_to(path.parent.resolve())  # no link leads out of the folder
    run.log = log if log.is_file() and is_own else None


class _Reader:
    def __init__(self, run: Run) -> None:
        self.run = run
        self.known: dict[bytes, Points | None] = {}

    def record(self, data: bytes) -> None:
        for number, value in fields(data):
            if not isinstance(value, bytes):
                continue
            if number == HISTORY:
                self.history(value)
            elif number == CONFIG:
                self.config(value)
            elif number == RUN:
                self.about(value)
            elif number == EXIT:
                code = next((each for key, each in fields(value) if key == 1), 0)
                self.run.status = FAILED if code else COMPLETED

    def about(self, data: bytes) -> None:
        facts = dict(fields(data))
        name = facts.get(DISPLAY_NAME) or facts.get(RUN_ID)
        if isinstance(name, bytes):
            self.run.name = name.decode("utf-8", "replace")
        if isinstance(config := facts.get(RUN_CONFIG), bytes):
            self.config(config)

    def config(self, data: bytes) -> None:
        for number, item in fields(data):
            if number == 1 and isinstance(item, bytes):
                key, value = _item(item)
                self.run.config[key.decode("utf-8", "replace")] = json.loads(value)

    def history(self, data: bytes) -> None:
        """The items of one step. All of them are read before the step is known."""
        step: Any = None
        found = list[tuple[bytes, bytes]]()
        own = dict[bytes, bytes]()
        for number, value in fields(data):
            if number == ITEM and isinstance(value, bytes):
                key, text = _item(value)
                if key.startswith(OWN):
                    own[key] = text
                else:
                    found.append((key, text))
            elif number == STEP and isinstance(value, bytes):
                step = next((each for key, each in fields(value) if key == 1), 0)
        at = as_step(json.loads(own[b"_step"]) if b"_step" in own else step)
        if at is None:
            self.run.left_out[NO_STEP] += len(found)
            return
        if found and b"_timestamp" in own:
            self.run.times.setdefault(at, float(own[b"_timestamp"]))
        self._keep(at, found)

    def _keep(self, step: int, found: list[tuple[bytes, bytes]]) -> None:
        known, wrong = self.known, 0
        for key, text in found:
            try:
                number = float(text)
            except ValueError:
                other = _other(text)
                if other is None:
                    wrong += 1
                    continue
                number = other
            points = known.get(key)
            if points is None:
                points = known[key] = self.run.points(key.decode("utf-8", "replace"))
                if points is None:
                    continue
            points.steps.append(step)
            points.values.append(number)
        if wrong:
            self.run.left_out[NO_NUMBER] += wrong


def _other(text: bytes) -> float | None:
    """A value that is no number as it stands: W&B writes NaN and infinities as texts."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return as_number(value)


def _item(data: bytes) -> tuple[bytes, bytes]:
    """The key and the JSON of an item. Most have a short key, and a short value behind it."""
    size = data[1]
    place = 2 + size
    if size < 128 and data[place : place + 2] == PLAIN and data[place + 2] < 128:
        end = place + 3 + data[place + 2]
        if end == len(data):
            return data[2:place], data[place + 3 :]
    return _item_slowly(data)


def _item_slowly(data: bytes) -> tuple[bytes, bytes]:
    key, nested, value = b"", list[bytes](), b"null"
    for number, each in fields(data):
        if not isinstance(each, bytes):
            continue
        if number == KEY:
            key = each
        elif number == NESTED:
            nested.append(each)
        elif number == JSON:
            value = each
    return key or b".".join(nested), value


def _records(file: BinaryIO, run: Run, tell: Tell) -> Iterator[bytes]:
    """The records, put together from their pieces."""
    held, place = list[bytes](), HEAD
    while block := file.read(BLOCK - place % BLOCK):
        yield from _of_block(block, held, run)
        place += len(block)
        tell(len(block))
    if held:
        run.left_out[CUT_OFF] += 1


def _of_block(block: bytes, held: list[bytes], run: Run) -> Iterator[bytes]:
    at = 0
    while at + HEAD <= len(block):
        size, kind = int.from_bytes(block[at + 4 : at + 6], "little"), block[at + 6]
        piece = block[at + HEAD : at + HEAD + size]
        at += HEAD + size
        if kind == 0 and not size:
            return  # filled with zeros up to the end
        if len(piece) < size:
            run.left_out[CUT_OFF] += 1
            held.clear()
            return
        if kind in (FULL, FIRST):
            held[:] = []
        held.append(piece)
        if kind in (FULL, LAST):
            yield b"".join(held)
            held.clear()


def settings_of(config: dict[str, Any]) -> dict[str, Any]:
    """Without what W&B keeps there of itself."""
    return {key: value for key, value in config.items() if not key.startswith("_")}
