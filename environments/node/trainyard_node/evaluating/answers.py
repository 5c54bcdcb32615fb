"""The model asked: its answers, each scored, as rows that the pages of answers show.

A row has verl's layout of validation, so what shows verl's rows shows these. An answer that cannot
be scored has no score, and says why in `failed`.
"""

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import blake2b, sha256
from pathlib import Path
from typing import Any

from trainyard_node.evaluating import figures, prompts
from trainyard_node.evaluating.engines import Engine
from trainyard_node.evaluating.figures import Scored
from trainyard_node.evaluating.generating import Answer, seed_of
from trainyard_node.evaluating.journal import Journal, Line
from trainyard_node.evaluating.model import Described
from trainyard_node.evaluating.prompts import Prompt, Prompts
from trainyard_node.evaluating.spec import Asked
from trainyard_node.evaluating.telling import Progress
from trainyard_node.export.refused import Refused
from trainyard_node.rewards.scoring import Scorer, Unloadable
from trainyard_node.rollout.choice import Request

NAME = "compute_score"
LONGEST_TEXT = 200  # characters of a prompt, where prompts are listed
TOKENS, FAILED, CLIPPED = "trainyard_tokens", "failed", "clipped"
OWN = frozenset({"input", "output", "gts", "score", "step", "uid", TOKENS, FAILED, CLIPPED})
HOPELESS = 50  # answers of which none could be scored: the others will not be either
NOT_SCORED = "NotImplementedError"  # what verl's own raises for a data source that it does not know


@dataclass
class Kept:
    """What is kept in memory of the answers: figures alone, whatever their texts."""

    samples: int
    prompts: dict[int, Scored] = field(default_factory=dict)
    missing: dict[int, int] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    first_failure: str = ""
    done: int = 0  # prompts with all their answers
    sums: dict[str, list[float]] = field(default_factory=dict)

    def is_done(self, index: int, sample: int) -> bool:
        scored = self.prompts.get(index)
        return scored is not None and scored.tokens[sample] is not None

    def take(self, row: Line) -> None:
        """Count a row of the file."""
        place = place_of(row)
        if place is None or place[1] >= self.samples:
            return
        index, sample = place
        scored = self.prompts.get(index)
        if scored is None:
            asked, text = shown(row)
            scored = Scored([None] * self.samples, [None] * self.samples, asked=asked, text=text)
            self.prompts[index], self.missing[index] = scored, self.samples
        scored.scores[sample] = _number(row.get("score"))
        scored.tokens[sample] = int(row.get(TOKENS) or 0)
        for name, value in row.items():
            if name not in OWN and (number := _number(value)) is not None:
                scored.parts.setdefault(name, [None] * self.samples)[sample] = number
        self._count(row)
        self.missing[index] -= 1
        if not self.missing[index]:
            self.done += 1
            self._add(scored)

    def means(self) -> dict[str, float | None]:
        """The means over the prompts that are done."""
        return {name: total / count for name, (total, count) in self.sums.items() if count}

    def _count(self, row: Line) -> None:
        self.counts["answers"] += 1
        self.counts["clipped"] += bool(row.get(CLIPPED))
        self.counts["empty"] += not str(row.get("output", "")).strip()
        if row.get(FAILED):
            self.counts["failed_scores"] += 1
            self.first_failure = self.first_failure or str(row[FAILED])

    def _add(self, scored: Scored) -> None:
        found = {"eval/score/mean": figures.mean(scored.scores),
                 "eval/tokens/mean": figures.mean(scored.tokens)}  # fmt: skip
        for name, value in found.items():
            sums = self.sums.setdefault(name, [0.0, 0])
            if value is not None:
                sums[0] += value
                sums[1] += 1


def shown(row: Line) -> tuple[str, str]:
    """What pages call a prompt: the digest of what the model was given, as pages of answers make
    it, and the end of it, where the question stands."""
    given = str(row.get("input", ""))
    asked = blake2b(given.encode("utf-8", "replace"), digest_size=8).hexdigest()
    return asked, given.strip()[-LONGEST_TEXT:]


def place_of(row: Line) -> tuple[int, int] | None:
    """The number of a row's prompt and of its answer, from its uid; None where it has none."""
    parts = str(row.get("uid", "")).split("_")
    if len(parts) != 3 or not all(part.isascii() and part.isdecimal() for part in parts):
        return None
    return int(parts[0]), int(parts[1])


@contextmanager
def scorer_of(asked: Asked, asked_of: Prompts) -> Iterator[Scorer]:
    """The reward function, loaded and tried. Raises Refused where it cannot score these rows."""
    path = asked.reward_file or None
    scorer = Scorer(path, asked.reward_name or NAME, asked.reward_kwargs)
    try:
        with scorer:
            if path is None:
                _check_sources(scorer, asked_of)
            yield scorer
    except Unloadable as error:
        raise Refused(f"The reward function cannot be used: {error}") from error


def _check_sources(scorer: Scorer, asked_of: Prompts) -> None:
    """verl's own function knows some data sources: for another it raises at every answer."""
    for source, prompt in asked_of.sources.items():
        [found] = scorer.score([to_score(prompt, "")])
        if NOT_SCORED in str((found.get("problem") or {}).get("message", "")):
            raise Refused(
                f"verl has no reward function of its own for the data source {source!r}. Give one "
                "of yours in reward_file."
            )


def to_score(prompt: Prompt, output: str) -> dict[str, Any]:
    """A row as the reward function is called with."""
    return {"data_source": prompt.source, "solution_str": output, "ground_truth": prompt.truth,
            "extra_info": prompt.extra}  # fmt: skip


class Asking:
    """Asks all prompts that are not done yet, longest first."""

    def __init__(
        self, asked: Asked, described: Described, asked_of: Prompts, kept: Kept, journal: Journal
    ) -> None:
        self._asked, self._described, self._prompts = asked, described, asked_of
        self._kept, self._journal = kept, journal
        self.seconds = {"generate": 0.0, "score": 0.0}

    def run(self, engine: Engine, scorer: Scorer, progress: Progress) -> None:
        """Raises Refused where nothing can be scored any more."""
        left = [
            (index, sample)
            for index in self._prompts.longest_first()
            for sample in range(self._asked.samples)
            if not self._kept.is_done(index, sample)
        ]
        lengths = dict(enumerate(self._prompts.lengths[index] for index, _ in left))
        at = 0
        while at < len(left):  # the engine may have to ask for fewer at once than it said
            batch = next(prompts.chunks(range(at, len(left)), lengths, engine.most, engine.room,
                                        self._longest))  # fmt: skip
            self._batch([left[number] for number in batch], engine, scorer)
            at += len(batch)
            progress.move(self._kept.done, self._kept.means())
            self._check_scores()

    @property
    def _longest(self) -> int:
        """The most tokens of an answer: no answer has more than the model reads."""
        return min(self._asked.max_new_tokens, self._described.context)

    def _check_scores(self) -> None:
        """Raises Refused where a reward function always fails: it is no use to ask on."""
        count, failed = self._kept.counts["answers"], self._kept.counts["failed_scores"]
        if count >= HOPELESS and failed == count:
            why = self._kept.first_failure
            raise Refused(f"None of the first {count} answers could be scored, the first because "
                          f"of {why}"[:400])  # fmt: skip

    def _batch(self, batch: Sequence[tuple[int, int]], engine: Engine, scorer: Scorer) -> None:
        asked_of = self._prompts.at([index for index, _ in batch])
        samples = [sample for _, sample in batch]
        requests = [
            self._request(prompt, sample, engine.stop)
            for prompt, sample in zip(asked_of, samples, strict=True)
        ]
        begun = time.monotonic()
        answers = engine.answer(requests, self._longest)
        self.seconds["generate"] += time.monotonic() - begun
        outputs = [self._text(answer.ids) for answer in answers]
        begun = time.monotonic()
        scored = scorer.score([*map(to_score, asked_of, outputs)])
        self.seconds["score"] += time.monotonic() - begun
        rows = [*map(self._row, asked_of, samples, answers, outputs, scored)]
        self._journal.keep(rows)
        for row in rows:
            self._kept.take(row)

    def _request(self, prompt: Prompt, sample: int, stop: frozenset[int]) -> Request:
        asked = self._asked
        room = self._described.context - len(prompt.ids)
        return Request(
            prompt.ids, max(1, min(asked.max_new_tokens, room)), float(asked.temperature),
            asked.top_p, asked.top_k, stop, seed_of(asked.seed, prompt.key, sample),
        )  # fmt: skip

    def _text(self, ids: Sequence[int]) -> str:
        return str(self._described.tokenizer.decode(ids, skip_special_tokens=True))

    def _row(
        self, prompt: Prompt, sample: int, answer: Answer, output: str, found: Mapping[str, Any]
    ) -> Line:
        parts = {
            name: value for name, value in (found.get("parts") or {}).items() if name not in OWN
        }
        row = {
            "input": self._text(prompt.ids), "output": output, "gts": prompt.truth,
            "score": found["score"], "step": self._asked.of_step or 0,
            "uid": f"{prompt.index}_{sample}_0", TOKENS: len(answer.ids),
        }  # fmt: skip
        problem = found.get("problem")
        more = {FAILED: str(problem["message"])} if problem else {}
        return {**row, CLIPPED: not answer.ended, **parts, **more}


def reward_of(asked: Asked) -> dict[str, Any]:
    """Which function scores: its name, the digest of its source, and its arguments."""
    if not asked.reward_file:
        kwargs = dict(asked.reward_kwargs)
        return {"name": "verl's own, by data_source", "source": "", "kwargs": kwargs}
    source = sha256(Path(asked.reward_file).read_bytes()).hexdigest()
    name = asked.reward_name or NAME
    return {"name": name, "source": source, "kwargs": dict(asked.reward_kwargs)}


def scores_lines(asked_of: Prompts, kept: Kept) -> Iterator[Line]:
    """One line a prompt in the order of the rows; one that was too long has no answers."""
    for index, key in enumerate(asked_of.keys):
        scored = kept.prompts.get(index)
        line: Line = {"prompt": key, "scores": scored.scores if scored else [],
                      "tokens": scored.tokens if scored else []}  # fmt: skip
        if scored and scored.parts:
            line["parts"] = scored.parts
        if scored and scored.asked:
            line |= {"input": scored.asked, "text": scored.text}
        if index in asked_of.too_long:
            line["too_long"] = asked_of.too_long[index]
        yield line


def _number(value: Any) -> float | None:
    if isinstance(value, bool):
        return float(value)
    is_number = isinstance(value, int | float) and abs(value) < float("inf")
    return float(value) if is_number else None
