"""From rows to prompts: what the model is asked, and what its answer is scored by.

A row is of RL (`prompt`, `reward_model`, `data_source`, `extra_info`) or of SFT (`messages`, of
which the last assistant turn is the truth). A prompt that is a text is asked as it stands; turns
are written with the model's chat template, as verl's agent loop does it.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from trainyard_node.evaluating.journal import encoded
from trainyard_node.evaluating.model import Described
from trainyard_node.evaluating.rows import Row, rows_of
from trainyard_node.evaluating.spec import Asked
from trainyard_node.export.refused import Refused
from trainyard_node.hooks.absent import present, pruned

SPOOL = ".prompts.jsonl"
MOST_SOURCES = 100  # of data, that are tried
SHOWN = 300  # characters of what another's code said


@dataclass(frozen=True)
class Prompt:
    """`key` is the digest of what is asked, whatever the template and the tokenizer."""

    index: int
    key: str
    ids: tuple[int, ...]
    truth: Any
    source: Any
    extra: Mapping[str, Any]

    @classmethod
    def read(cls, line: bytes) -> "Prompt":
        data = json.loads(line)
        return cls(**{**data, "ids": tuple(data["ids"])})


@dataclass
class Prompts:
    """All prompts, in a file: of each only its place and its length are held. `keys` are those of
    all rows in their order, also of those that are `too_long`, by their index and length."""

    path: Path
    keys: list[str] = field(default_factory=list)
    places: dict[int, tuple[int, int]] = field(default_factory=dict)
    lengths: dict[int, int] = field(default_factory=dict)
    too_long: dict[int, int] = field(default_factory=dict)
    sources: dict[str, Prompt] = field(default_factory=dict)
    digest: str = ""
    data: str = ""

    def at(self, indices: Sequence[int]) -> list[Prompt]:
        """Those of these numbers."""
        found = []
        with self.path.open("rb") as file:
            for index in indices:
                offset, size = self.places[index]
                file.seek(offset)
                found.append(Prompt.read(file.read(size)))
        return found

    def longest_first(self) -> list[int]:
        """So that what needs most memory is tried first, and batches have little padding."""
        return sorted(self.lengths, key=lambda index: (-self.lengths[index], index))


def spooled(asked: Asked, described: Described, folder: Path) -> Prompts:
    """Write the prompts of all rows. Raises Refused where a row has none, or all are too long."""
    prompts = Prompts(folder / SPOOL)
    asked_of, data = sha256(), sha256()
    with prompts.path.open("wb") as out:
        at = 0
        for index, row in enumerate(rows_of(asked.files, asked.limit)):
            said, truth = asked_in(row, index)
            told = told_with(row)
            text = text_of(said) if not told else text_of([*_as_turns(said), told])
            key = sha256(text.encode("utf-8", "replace")).hexdigest()[:16]
            prompts.keys.append(key)
            source, extra = row.get("data_source"), row.get("extra_info") or {}
            asked_of.update(encoded({"prompt": text}))
            data.update(encoded({"truth": truth, "source": source, "extra": extra}))
            ids = ids_of(said, asked, described, index, told)
            prompts.lengths[index] = len(ids)
            if len(ids) > longest(asked, described):
                prompts.too_long[index] = prompts.lengths.pop(index)
                continue
            line = encoded({"index": index, "key": key, "ids": ids, "truth": truth,
                            "source": source, "extra": extra})  # fmt: skip
            prompts.places[index] = (at, out.write(line))
            at += len(line)
            if str(source) not in prompts.sources and len(prompts.sources) < MOST_SOURCES:
                prompts.sources[str(source)] = Prompt.read(line)
    prompts.digest, prompts.data = asked_of.hexdigest(), data.hexdigest()
    _check(prompts, asked, described)
    return prompts


def longest(asked: Asked, described: Described) -> int:
    """The most tokens of a prompt: what was asked, and one less than the model reads."""
    room = described.context - 1
    return min(room, asked.max_prompt_tokens or room)


def asked_in(row: Row, index: int) -> tuple[str | list[Any], Any]:
    """What a row asks, and the truth of it. Raises Refused where it asks nothing."""
    if (said := row.get("prompt")) is not None:
        truth = row.get("reward_model")
        truth = truth.get("ground_truth") if isinstance(truth, Mapping) else row.get("answer")
        return _turns(said, index), truth
    said = _turns(row.get("messages"), index)
    if not isinstance(said, list) or not said or said[-1].get("role") != "assistant":
        raise Refused(f"Row {index} has neither a prompt nor messages that end with an answer.")
    return said[:-1], said[-1].get("content")


def _turns(said: Any, index: int) -> str | list[Any]:
    if isinstance(said, str) and said:
        return said
    if isinstance(said, list) and said and all(isinstance(turn, Mapping) for turn in said):
        return [present(turn) for turn in said]
    raise Refused(f"Row {index} has neither a prompt nor messages: they are a text or turns.")


def text_of(said: str | Sequence[Any]) -> str:
    """What is asked as a text, whatever the template: two models are asked the same by it."""
    return said if isinstance(said, str) else json.dumps(pruned(said), sort_keys=True)


def told_with(row: Row) -> dict[str, Any]:
    """What a row of SFT tells the template beside its turns, as verl's data set reads it."""
    if row.get("prompt") is not None:
        return {}
    tools, thinks = row.get("tools"), row.get("enable_thinking")
    told: dict[str, Any] = {"tools": pruned(tools)} if tools else {}
    return told if thinks is None else {**told, "enable_thinking": bool(thinks)}


def _as_turns(said: str | list[Any]) -> list[Any]:
    return [said] if isinstance(said, str) else said


def ids_of(
    said: str | list[Any], asked: Asked, described: Described, index: int, told: Mapping[str, Any]
) -> list[int]:
    """The tokens of a prompt. Raises Refused without a template, or where that fails."""
    tokenizer = described.tokenizer
    if isinstance(said, str):
        return [int(token) for token in tokenizer.encode(said)]
    check_template(described)
    try:
        found = tokenizer.apply_chat_template(
            said, add_generation_prompt=True, tokenize=True, return_dict=False,
            **{**asked.template_kwargs, **told},
        )  # fmt: skip
    except Exception as error:  # a template raises what it likes
        raise Refused(f"The chat template fails at row {index}: {error}"[:SHOWN]) from error
    return [int(token) for token in found]


def check_template(described: Described) -> None:
    """Raises Refused for a model that has no chat template."""
    if not described.tokenizer.chat_template:
        raise Refused(
            f"The tokenizer of {described.source} has no chat template, and the rows are turns of "
            "a conversation. Give a template, such as that of the model that it was trained from, "
            "or rows whose prompt is a text."
        )


def _check(prompts: Prompts, asked: Asked, described: Described) -> None:
    if not prompts.keys:
        raise Refused("The files have no rows.")
    if not prompts.places:
        least = min(prompts.too_long.values())
        raise Refused(
            f"All {len(prompts.keys)} prompts are too long: the shortest has {least} tokens, and a "
            f"prompt may have {longest(asked, described)}."
        )


def chunks(indices: Sequence[int], lengths: Mapping[int, int], most: int, room: int,
           more: int) -> Iterator[list[int]]:  # fmt: skip
    """Batches of at most `most`, which with `more` tokens for each have at most `room` tokens,
    padding included; a single one may have more."""
    batch: list[int] = []
    width = 0
    for index in indices:
        wide = max(width, lengths[index] + more)
        if batch and (len(batch) == most or wide * (len(batch) + 1) > room):
            yield batch
            batch, wide = [], lengths[index] + more
        batch.append(index)
        width = wide
    if batch:
        yield batch
