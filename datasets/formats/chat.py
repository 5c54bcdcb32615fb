"""Rows rendered by a chat template: token ids and loss masks, as the trainer makes them.

verl 0.9.1 sets the rules: ``verl.utils.dataset.multiturn_sft_dataset.MultiTurnSFTDataset`` for SFT,
``verl.utils.dataset.rl_dataset.RLHFDataset`` for an RL prompt; ``trainyard_node.dpo`` sets those of
DPO. The steps come in the trainer's order, so that rows it refuses are refused here.
"""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from datasets.formats.jsontext import pruned
from datasets.formats.turns import is_trained

Row = Mapping[str, Any]
Messages = list[dict[str, Any]]
MEDIA = ("images", "videos")
DUMMY = {"role": "user", "content": [{"type": "text", "text": ""}]}


@dataclass(frozen=True)
class ChatOptions:
    """Settings of verl's ``data`` section that change the tokens.

    ``enable_thinking``: verl ships ``enable_thinking_default: none``; YAML reads that as the word
    "none" and verl's ``bool()`` makes it True, so rows without that column are rendered with True.
    Only SFT passes it to the template.
    """

    template_kwargs: Mapping[str, Any] = field(default_factory=dict)
    enable_thinking: bool | None = True
    ignore_mismatch: bool = False
    pad_mode: str = "no_padding"


@dataclass(frozen=True)
class Pieces:
    """Token ids, and a mask with 1 for each token that bears loss."""

    ids: list[int]
    mask: list[int]


class Refusal(Exception):
    """The trainer stops at this row; ``pieces`` holds the tokens that are known all the same."""

    def __init__(self, reason: str, pieces: Pieces | None = None) -> None:
        super().__init__(reason)
        self.pieces = pieces or Pieces([], [])


class Chat:
    """One tokenizer's chat template. Safe to use from several threads."""

    def __init__(self, tokenizer: Any, options: ChatOptions) -> None:
        self.options = options
        self._tokenizer = tokenizer
        self._lock = threading.Lock()  # a fast tokenizer is one Rust object that holds settings

    def sft(self, row: Row) -> Pieces:
        """Tokens of an SFT row: answers bear loss, except their openings. Raises Refusal."""
        system, generation = self._affixes
        messages, tools, thinking = sft_messages(row), sft_tools(row), self.thinking(row)
        pieces = Pieces([], [])
        for place, message in enumerate(messages):
            turn = self._turn(message, tools if place == 0 else None, thinking)
            if place != 0 and message.get("role") != "system":
                turn = turn[len(system) :]
            bears = message.get("role") == "assistant" and is_trained(message)
            pieces.ids.extend(turn)
            pieces.mask.extend(int(bears and at >= len(generation)) for at in range(len(turn)))
        if not self.options.ignore_mismatch:
            self._compare(pieces, messages, tools, thinking)
        return pieces

    def prompt(self, row: Row) -> list[int]:
        """An RL prompt, up to the start of the model's answer. Raises Refusal."""
        return self.encode(self.prompt_text(row))

    def prompt_text(self, row: Row) -> str:
        """The same as text, of which many are counted at once. Raises Refusal."""
        messages = [present(turn) for turn in row["prompt"] or []]
        if not messages:
            raise Refusal("The prompt is empty.")
        try:
            return self.render(messages, generation=True)
        except Exception as error:  # a template may raise anything
            raise Refusal(f"The chat template refuses this prompt: {said(error)}") from error

    def render(
        self,
        messages: Messages,
        *,
        generation: bool = False,
        tools: Any = None,
        thinking: bool | None = None,
    ) -> str:
        """The conversation as text. Raises any error that the template raises."""
        extra = dict(self.options.template_kwargs)
        if thinking is not None:
            extra["enable_thinking"] = thinking
        text = self._tokenizer.apply_chat_template(
            messages, tools=tools, add_generation_prompt=generation, tokenize=False, **extra
        )
        return str(text)

    def encode(self, text: str) -> list[int]:
        """Token ids of text that already holds its special tokens."""
        with self._lock:
            ids: list[int] = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    def count(self, texts: Sequence[str]) -> list[int]:
        """The number of tokens of each text; one call for many texts is faster."""
        with self._lock:
            backend = getattr(self._tokenizer, "backend_tokenizer", None)
            if backend is None:
                every = self._tokenizer(list(texts), add_special_tokens=False)["input_ids"]
                return [len(ids) for ids in every]
            backend.no_truncation()
            backend.no_padding()
            return [len(e) for e in backend.encode_batch_fast(texts, add_special_tokens=False)]

    def thinking(self, row: Row) -> bool | None:
        """The value that SFT gives the template as ``enable_thinking``. Raises Refusal."""
        if "enable_thinking" not in row:
            return self.options.enable_thinking
        if row["enable_thinking"] is None:
            raise Refusal("enable_thinking is empty in this row, and verl needs true or false.")
        return bool(row["enable_thinking"])

    @cached_property
    def _affixes(self) -> tuple[list[int], list[int]]:
        """The default system prompt, and the opening of an answer, as verl infers them."""
        user: Messages = [{"role": "user", "content": ""}]
        try:
            once, twice = self.encode(self.render(user)), self.encode(self.render(user * 2))
            opened = self.encode(self.render(user, generation=True))
        except Exception as error:  # a template may raise anything
            raise Refusal(
                "verl asks the chat template for two user turns in a row when it opens the data, "
                f"and the template refuses them: {said(error)} SFT cannot use this template."
            ) from error
        return once[: -(len(twice) - len(once))], opened[len(once) :]

    def _turn(self, message: dict[str, Any], tools: Any, thinking: bool | None) -> list[int]:
        try:
            try:
                return self.encode(self.render([message], tools=tools, thinking=thinking))
            except Exception:  # as verl: render it after a user's turn, then cut that turn off
                before = self.encode(self.render([DUMMY], tools=tools, thinking=thinking))
                both = self.render([DUMMY, message], tools=tools, thinking=thinking)
                return self.encode(both)[len(before) :]
        except Exception as error:
            raise Refusal(f"The chat template refuses a turn by itself: {said(error)}") from error

    def _compare(
        self, pieces: Pieces, messages: Messages, tools: Any, thinking: bool | None
    ) -> None:
        try:
            whole = self.encode(self.render(messages, tools=tools, thinking=thinking))
        except Exception as error:  # a template may raise anything
            raise Refusal(
                f"The chat template refuses this conversation: {said(error)}", pieces
            ) from error
        if whole != pieces.ids:
            raise Refusal(
                "Turn by turn the chat template gives other tokens than for the conversation as a "
                "whole, and verl stops there unless data.ignore_input_ids_mismatch=True; then it "
                "trains on the tokens of the single turns, as shown.",
                pieces,
            )


def sft_messages(row: Row) -> Messages:
    """A row's turns, checked to be readable by verl's SFT. Raises Refusal."""
    messages: Messages = [present(turn) for turn in row["messages"] or []]
    if not messages:
        raise Refusal("There are no messages: verl expects a non-empty list.")
    if any("content" not in message for message in messages):
        raise Refusal("A message has no content.")
    media = [name for name in MEDIA if name in row]
    if media:
        raise Refusal(f"The data have a column {media[0]}: verl then needs a processor.")
    return messages


def sft_tools(row: Row) -> Any:
    """A row's tools. Raises Refusal for an empty cell, which pandas reads as NA."""
    if "tools" in row and row["tools"] is None:
        raise Refusal("tools is empty in this row; verl needs a list there once it is a column.")
    return pruned(row.get("tools"))


def present(turn: Mapping[str, Any]) -> dict[str, Any]:
    """A turn without the empty fields that parquet gives it where other turns have them.

    ``trainyard_node.hooks.absent`` has the trainers read rows so.
    """
    content = {"content": turn["content"]} if "content" in turn else {}
    return {**pruned(turn), **content}


def said(error: Exception) -> str:
    """The first line of an error's message, as a sentence."""
    if isinstance(error, MemoryError):  # it has no message
        return "It needs more memory than it may take."
    text = next(iter(str(error).splitlines()), "") or type(error).__name__
    return text if text.endswith((".", "!")) else f"{text}."
