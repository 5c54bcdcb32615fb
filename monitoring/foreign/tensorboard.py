"""Event files of TensorBoard: records of TFRecord, each with an ``Event`` of protobuf.

https://github.com/tensorflow/tensorboard/blob/master/tensorboard/compat/proto/event.proto
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from monitoring.foreign.found import (
    BROKEN_RECORDS,
    CUT_OFF,
    LAST_STEP,
    Points,
    Run,
    Tell,
    as_step,
)
from monitoring.foreign.wire import fields, varint

TOOL = "TensorBoard"
MARK = "tfevents"  # in the name of every event file
LENGTH, DOUBLE, FLOAT = struct.Struct("<Q"), struct.Struct("<d"), struct.Struct("<f")
HEAD, TAIL = 12, 4  # a length with its checksum, and the checksum of the record
LARGEST = 256 << 20  # bytes of a record
TELL_EVERY = 1 << 22
WALL_TIME, STEP, SUMMARY = 1, 2, 5  # of Event
VALUE = 1  # of Summary
TAG, SIMPLE, TENSOR = 1, 2, 8  # of Value
DTYPE, CONTENT, FLOATS, DOUBLES = 1, 4, 5, 6  # of Tensor


@dataclass
class Reader:
    """``known`` has the points by the bytes that stand before the value of a plain scalar: those of
    one metric are always the same, so that all but its first event are read without parsing."""

    run: Run
    known: dict[bytes, Points] = field(default_factory=dict)

    def event(self, data: bytes) -> None:
        """Raises ``ValueError``, ``IndexError`` and ``struct.error``."""
        if data[0] != 9:  # no time first: no writer that is known does that
            return self._slowly(data)
        if data[9] == 16:
            step, at = varint(data, 10)
        else:
            step, at = 0, 9
        points = self.known.get(data[at:-4])
        if points is None or step >= LAST_STEP:
            return self._slowly(data, at)
        points.steps.append(step)
        points.values.append(FLOAT.unpack_from(data, len(data) - 4)[0])
        if step not in self.run.times:
            self.run.times[step] = DOUBLE.unpack_from(data, 1)[0]
        return None

    def _slowly(self, data: bytes, at: int = 0) -> None:
        """``at`` is where the summary begins, where it is known."""
        step, time, found = _facts(data)
        for value in found:
            if value.number is None:
                self.run.left_out[NOT_SCALAR] += 1
                continue
            self.run.add(value.tag, step, value.number)
            if at and len(found) == 1 and value.is_plain and value.tag in self.run.series:
                self.known[data[at:-4]] = self.run.series[value.tag]
        if found and time is not None and as_step(step) is not None:
            self.run.times.setdefault(step, time)


def _facts(data: bytes) -> tuple[int, float | None, list["Value"]]:
    """The step, the time and the values of an event. Raises ``ValueError``."""
    step, time, found = 0, None, list[Value]()
    for number, value in fields(data):
        if number == STEP and isinstance(value, int):
            step = value
        elif number == WALL_TIME and isinstance(value, bytes):
            time = DOUBLE.unpack(value)[0]
        elif number == SUMMARY and isinstance(value, bytes):
            found += [_value(each) for key, each in fields(value) if key == VALUE]
    return step, time, found


@dataclass(frozen=True)
class Value:
    """``is_plain``: its number is a float, and comes last. ``number`` is None for what is none."""

    tag: str
    number: float | None
    is_plain: bool


NOT_SCALAR = "{} value{s} of TensorBoard: texts, pictures or distributions"


def _value(data: int | bytes) -> Value:
    tag, number, is_plain = "", None, False
    for key, value in fields(data) if isinstance(data, bytes) else ():
        is_plain = False
        if key == TAG and isinstance(value, bytes):
            tag = value.decode("utf-8", "replace")
        elif key == SIMPLE and isinstance(value, bytes):
            number, is_plain = FLOAT.unpack(value)[0], True
        elif key == TENSOR and isinstance(value, bytes):
            number = _scalar(value)
    return Value(tag, number, is_plain)


def _scalar(tensor: bytes) -> float | None:
    """The number in a tensor of one float or double; None for any other."""
    facts = dict(fields(tensor))
    kind = {1: FLOAT, 2: DOUBLE}.get(facts.get(DTYPE))  # type: ignore[arg-type]
    held = next((facts[key] for key in (CONTENT, FLOATS, DOUBLES) if facts.get(key)), b"")
    if kind is None or not isinstance(held, bytes) or len(held) != kind.size:
        return None
    number: float = kind.unpack(held)[0]
    return number


def read(paths: list[Path], run: Run, tell: Tell) -> None:
    """The event files of one folder, which are of one run. Raises ``OSError``."""
    reader = Reader(run)
    for path in paths:
        with path.open("rb") as file:
            for record in _records(file, run, tell):
                try:
                    reader.event(record)
                except (ValueError, IndexError, struct.error):
                    run.left_out[BROKEN_RECORDS] += 1


def _records(file: BinaryIO, run: Run, tell: Tell) -> Iterator[bytes]:
    told = 0
    while head := file.read(HEAD):
        if len(head) < HEAD:
            run.left_out[CUT_OFF] += 1
            return
        (length,) = LENGTH.unpack_from(head)
        if length > LARGEST:
            run.left_out[NO_RECORDS] += 1
            return
        data = file.read(length + TAIL)
        if len(data) < length + TAIL:
            run.left_out[CUT_OFF] += 1
            return
        told += HEAD + len(data)
        if told > TELL_EVERY:
            tell(told)
            told = 0
        yield data[:length]
    tell(told)


NO_RECORDS = "the rest of {} damaged file{s}"
