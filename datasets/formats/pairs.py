"""Preference pairs as tokens, by the rules of ``trainyard_node.dpo.encode`` for training."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from datasets.formats.chat import Pieces, Refusal, Row, said
from datasets.formats.jsontext import pruned

Messages = list[dict[str, Any]]


class Renders(Protocol):
    def render(self, messages: Messages, *, generation: bool = False) -> str: ...
    def encode(self, text: str) -> list[int]: ...


@dataclass(frozen=True)
class Pair:
    """Token ids; ``prompt`` is the beginning that both answers share."""

    prompt: list[int]
    chosen: list[int]
    rejected: list[int]

    @property
    def length(self) -> int:
        """Tokens of the longer of the two sequences."""
        return len(self.prompt) + max(len(self.chosen), len(self.rejected))

    def sequence(self, answer: Sequence[int]) -> Pieces:
        """The prompt and one of the answers; the answer's tokens bear loss."""
        return Pieces([*self.prompt, *answer], [0] * len(self.prompt) + [1] * len(answer))


def pair_of(chat: Renders, row: Row) -> Pair:
    """Tokenise a pair: each answer is the rest of its conversation after the shared prompt.

    Raises Refusal.
    """
    prompt = _turns(row, "prompt")
    sides = [_answer(row, name) for name in ("chosen", "rejected")]
    try:
        start = chat.encode(chat.render(prompt, generation=True))
        chosen, rejected = (chat.encode(chat.render([*prompt, *side])) for side in sides)
    except Exception as error:  # a template may raise anything
        raise Refusal(f"The chat template refuses this pair: {said(error)}") from error
    shared = min(_common(start, chosen), _common(start, rejected))
    if shared == 0:
        raise Refusal("The chat template renders nothing before the answer.")
    if min(len(chosen), len(rejected)) == shared:
        raise Refusal("The chat template renders nothing for an answer.")
    return Pair(start[:shared], chosen[shared:], rejected[shared:])


def truncate(pair: Pair, max_length: int, truncation: str) -> Pair:
    """Cut the pair to ``max_length`` tokens a sequence.

    "left" cuts the prompt's start, the same for both answers; "right" cuts the answers' ends.
    Raises Refusal where too little is left.
    """
    excess = pair.length - max_length
    if excess <= 0:
        return pair
    if truncation == "error":
        raise Refusal(f"{pair.length} tokens are more than data.max_length={max_length}.")
    return _without_start(pair, excess) if truncation == "left" else _without_end(pair, max_length)


def _without_start(pair: Pair, excess: int) -> Pair:
    if len(pair.prompt) - excess < 1:
        raise Refusal("The longer answer alone fills data.max_length.")
    return Pair(pair.prompt[excess:], pair.chosen, pair.rejected)


def _without_end(pair: Pair, max_length: int) -> Pair:
    room = max_length - len(pair.prompt)
    if room < 1:
        raise Refusal("The prompt alone fills data.max_length.")
    chosen, rejected = pair.chosen[:room], pair.rejected[:room]
    if chosen == rejected:
        raise Refusal("The answers are the same within data.max_length.")
    return Pair(pair.prompt, chosen, rejected)


def _turns(row: Row, name: str) -> Messages:
    turns = row.get(name)
    if not isinstance(turns, list) or not turns:
        raise Refusal(f"{name} is not a list of messages.")
    if not all(isinstance(turn, Mapping) and turn.get("role") for turn in turns):
        raise Refusal(f"{name} holds a message without a role.")
    return [pruned(turn) for turn in turns]


def _answer(row: Row, name: str) -> Messages:
    turns = _turns(row, name)
    others = [turn["role"] for turn in turns if turn["role"] != "assistant"]
    if others:
        raise Refusal(f"{name} holds a message of {others[0]!r}; an answer is the assistant's.")
    return turns


def _common(first: Sequence[int], second: Sequence[int]) -> int:
    pairs = enumerate(zip(first, second, strict=False))
    different = next((place for place, (one, other) in pairs if one != other), None)
    return min(len(first), len(second)) if different is None else different
