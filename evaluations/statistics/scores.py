"""What each prompt of an evaluation scored, as columns; and these as bytes of a database."""

import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import orjson

from evaluations.statistics.resampling import Floats

Keys: TypeAlias = npt.NDArray[np.uint64]
Ints: TypeAlias = npt.NDArray[np.int64]
ODD = np.uint64(0x9E3779B97F4A7C15)  # keeps equal prompts of one set apart by their number
COLUMNS = ("prompts", "keys", "values", "right", "weights", "task")


class NotScores(ValueError):
    """The bytes hold no scores."""


@dataclass(frozen=True)
class Scores:
    """One row a prompt, in the order of the evaluation.

    ``prompts`` are digests of their texts and ``keys`` those of what the model
    was given, by which the pages of answers find them.
    ``values`` are the scores of its answers, NaN where one is not known; ``right`` says 1 or 0 of
    each, and is empty where nobody says. Of a loss, the one value is the sum over ``weights``
    tokens. ``task`` is the number of its task among ``tasks``. ``texts`` are beginnings.
    """

    prompts: Keys
    keys: Keys
    values: Floats
    right: Floats
    weights: Floats
    task: Ints
    tasks: Sequence[str] = ()
    texts: Sequence[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.prompts)

    @property
    def samples(self) -> int:
        """The most answers of a prompt."""
        return int(self.values.shape[1])

    def at(self, places: Ints) -> "Scores":
        """Only these rows, in this order."""
        columns = {name: getattr(self, name)[places] for name in COLUMNS}
        texts = [self.texts[at] for at in places.tolist()] if self.texts else []
        return Scores(**columns, tasks=self.tasks, texts=texts)


def of_task(scores: Scores, name: str) -> Scores:
    """The rows of one task alone, without their texts."""
    number = scores.tasks.index(name) if name in scores.tasks else -1
    places = np.flatnonzero(scores.task == number)
    columns = {column: getattr(scores, column)[places] for column in COLUMNS}
    return Scores(**columns | {"task": np.zeros(len(places), np.int64)}, tasks=[name])


def names_of(scores: Scores) -> Keys:
    """A number for each row by which the same prompt is found again in another evaluation: that of
    its text and, where several prompts of one text stand, of its place among these."""
    tasks = [name.encode() for name in scores.tasks]
    salts = np.array([_salt(name) for name in tasks] or [0], np.uint64)
    named = scores.prompts ^ salts[np.minimum(scores.task, len(salts) - 1)]
    order = np.argsort(named, kind="stable")
    ordered = named[order]
    starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
    lengths = np.diff(np.append(starts, len(ordered)))
    nth = np.arange(len(ordered)) - np.repeat(starts, lengths)
    found = np.empty_like(named)
    with np.errstate(over="ignore"):
        found[order] = ordered + nth.astype(np.uint64) * ODD
    return found


def _salt(name: bytes) -> int:
    return int.from_bytes(blake2b(name, digest_size=8).digest())


def packed(scores: Scores) -> bytes:
    held = io.BytesIO()
    words = json.dumps({"tasks": list(scores.tasks), "texts": list(scores.texts)}).encode()
    columns = {name: getattr(scores, name) for name in COLUMNS}
    np.savez_compressed(held, words=np.frombuffer(words, np.uint8), **columns)
    return held.getvalue()


def unpacked(data: bytes) -> Scores:
    """Raises ``NotScores``."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as held:
            words = orjson.loads(held["words"].tobytes())
            columns = {name: held[name] for name in COLUMNS}
    except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise NotScores("The scores that were kept cannot be read.") from error
    return Scores(**columns, tasks=words["tasks"], texts=words["texts"])
