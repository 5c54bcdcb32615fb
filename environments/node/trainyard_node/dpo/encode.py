"""Convert a row's messages to token ids: plain Python, for any tokenizer with a chat template."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trainyard_node.dpo.refused import Refused
from trainyard_node.hooks.absent import pruned

Messages = Sequence[Mapping[str, Any]]
TRUNCATIONS = ("error", "left", "right")


@dataclass(frozen=True)
class Pair:
    """Token ids. `prompt` is the beginning that both answers share; no answer is empty.

    `cut` is the number of tokens that truncation removed from the pair.
    """

    prompt: tuple[int, ...]
    chosen: tuple[int, ...]
    rejected: tuple[int, ...]
    cut: int = 0

    @property
    def length(self) -> int:
        """Tokens of the longer of the two sequences."""
        return len(self.prompt) + max(len(self.chosen), len(self.rejected))

    @property
    def tokens(self) -> int:
        """Tokens of both sequences together: the size of the pair in a micro batch."""
        return 2 * len(self.prompt) + len(self.chosen) + len(self.rejected)


def encode(tokenizer: Any, row: Mapping[str, Any], options: Mapping[str, Any]) -> Pair:
    """Render the row's pair with the chat template; `options` are passed to the template.

    The prompt is rendered with the generation prompt, and each answer is the rest of the whole
    conversation. Where a template renders the end of the prompt differently once an answer follows,
    the answers start where the renderings differ, as in TRL. Raises Refused.
    """
    prompt = _messages(row, "prompt")
    sides = [_answer(row, name) for name in ("chosen", "rejected")]
    start = _render(tokenizer, prompt, options, add_generation_prompt=True)
    chosen, rejected = (_render(tokenizer, [*prompt, *side], options) for side in sides)
    shared = min(_common(start, chosen), _common(start, rejected))
    if shared == 0:
        raise Refused("the chat template renders nothing before the answer")
    if min(len(chosen), len(rejected)) == shared:
        raise Refused("the chat template renders nothing for an answer")
    return Pair(start[:shared], chosen[shared:], rejected[shared:])


def truncate(pair: Pair, max_length: int, truncation: str) -> Pair:
    """Cut the pair to `max_length` tokens a sequence.

    "error" raises Refused; "left" cuts the start of the prompt, the same for both answers, and
    keeps the answers whole; "right" keeps the prompt and cuts the end of the answers. At least one
    token of the prompt and of each answer is kept; otherwise Refused is raised.
    """
    excess = pair.length - max_length
    if excess <= 0:
        return pair
    if truncation == "error":
        raise Refused(
            f"{pair.length} tokens are more than data.max_length={max_length}; "
            "raise it, shorten the row, or set data.truncation to left or right"
        )
    return _from_the_left(pair, excess) if truncation == "left" else _from_the_right(pair, excess)


def _from_the_left(pair: Pair, excess: int) -> Pair:
    if len(pair.prompt) - excess < 1:
        raise Refused("its longer answer alone fills data.max_length; raise it or drop the row")
    return Pair(pair.prompt[excess:], pair.chosen, pair.rejected, cut=excess)


def _from_the_right(pair: Pair, excess: int) -> Pair:
    room = pair.length - excess - len(pair.prompt)
    if room < 1:
        raise Refused("its prompt alone fills data.max_length; raise it or drop the row")
    chosen, rejected = pair.chosen[:room], pair.rejected[:room]
    if chosen == rejected:
        raise Refused("its answers are the same within data.max_length; raise it or drop the row")
    cut = len(pair.chosen) + len(pair.rejected) - len(chosen) - len(rejected)
    return Pair(pair.prompt, chosen, rejected, cut=cut)


def _messages(row: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    turns = row.get(name)
    if not isinstance(turns, list) or not turns:
        raise Refused(f"{name} is not a list of messages")
    return [_message(turn, name) for turn in turns]


def _message(turn: Any, name: str) -> dict[str, Any]:
    if not isinstance(turn, Mapping) or not turn.get("role"):
        raise Refused(f"{name} holds a message without a role")
    # Parquet gives each message the columns of all others, empty where it has no value.
    found: dict[str, Any] = pruned(turn)
    return found


def _answer(row: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    turns = _messages(row, name)
    for turn in turns:
        if turn["role"] != "assistant":
            raise Refused(
                f"{name} holds a message of {turn['role']!r}; "
                "an answer is the assistant's turns only"
            )
    return turns


def _render(
    tokenizer: Any, messages: Messages, options: Mapping[str, Any], **more: bool
) -> tuple[int, ...]:
    ids = tokenizer.apply_chat_template(
        list(messages), tokenize=True, return_dict=False, **{**options, **more}
    )
    return tuple(ids)


def _common(first: Sequence[int], second: Sequence[int]) -> int:
    for index, (one, other) in enumerate(zip(first, second, strict=False)):
        if one != other:
            return index
    return min(len(first), len(second))
