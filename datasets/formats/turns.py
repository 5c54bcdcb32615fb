"""Turns of a conversation, in the forms that data sets use."""

from collections.abc import Mapping, Sequence
from typing import Any

from datasets.formats.codes import RowProblem

Turn = dict[str, str]
ROLES_OF_OTHERS = {
    "human": "user",
    "gpt": "assistant",
    "bot": "assistant",
    "model": "assistant",
    "chatgpt": "assistant",
    "observation": "tool",
    "tool_response": "tool",
    "function_response": "tool",
    "developer": "system",
}
KNOWN_ROLES = ("system", "user", "assistant", "tool")


def turns_of(value: Any, column: str) -> list[Turn]:
    """A list of {role, content} or {from, value} as turns. Raises RowProblem."""
    if not isinstance(value, list):
        raise RowProblem("wrong_type", f"{column} is not a list of turns.")
    if not value:
        raise RowProblem("no_messages", f"{column} has no turns.")
    return [_turn(item, column, place) for place, item in enumerate(value, 1)]


def text_of(value: Any, column: str) -> str:
    """Text, or a number as text. Raises RowProblem."""
    if isinstance(value, str):
        return value
    if isinstance(value, int | float):
        return str(value)
    raise RowProblem("wrong_type", f"{column} is not text.")


def prompt_turns(value: Any, column: str) -> list[Turn]:
    """A prompt (text or turns) as turns that end before the answer. Raises RowProblem."""
    if not isinstance(value, list):
        text = text_of(value, column)
        if not text.strip():
            raise RowProblem("no_prompt", f"{column} is empty.")
        return [{"role": "user", "content": text}]
    turns = turns_of(value, column)
    if turns[-1]["role"] == "assistant":
        raise RowProblem("no_prompt", f"{column} ends with an answer.")
    return turns


def with_system(turns: Sequence[Turn], system: str) -> list[Turn]:
    """The turns with a system prompt first, unless they have one already."""
    if not system or (turns and turns[0]["role"] == "system"):
        return list(turns)
    return [{"role": "system", "content": system}, *turns]


def before_answer(turns: Sequence[Turn]) -> list[Turn]:
    """All turns before the last answer."""
    answers = [place for place, turn in enumerate(turns) if turn["role"] == "assistant"]
    return list(turns[: answers[-1]] if answers else turns)


def first_prompt(turns: Sequence[Turn]) -> list[Turn]:
    """The turns before the first answer: conversations that start alike share them."""
    for place, turn in enumerate(turns):
        if turn["role"] == "assistant":
            return list(turns[:place])
    return list(turns)


def common_prefix(one: Sequence[Turn], other: Sequence[Turn]) -> int:
    """The number of turns at the start that two conversations share."""
    for place, (left, right) in enumerate(zip(one, other, strict=False)):
        if left != right:
            return place
    return min(len(one), len(other))


def _turn(item: Any, column: str, place: int) -> Turn:
    if not isinstance(item, Mapping):
        raise RowProblem("wrong_type", f"Turn {place} of {column} is not an object.")
    said = item.get("role", item.get("from"))
    role = ROLES_OF_OTHERS.get(str(said).lower(), str(said).lower())
    if role not in KNOWN_ROLES:
        raise RowProblem(
            "unknown_role", f"Turn {place} of {column} has the role {str(said)[:40]!r}."
        )
    content = item.get("content", item.get("value"))
    if isinstance(content, list):
        content = _parts(content, column, place)
    if content is None and item.get("tool_calls"):
        raise RowProblem(
            "wrong_type", f"Turn {place} of {column} is a tool call; only text turns can be used."
        )
    if content is not None and not isinstance(content, str):
        raise RowProblem("wrong_type", f"The content of turn {place} of {column} is not text.")
    return {"role": role, "content": content or ""}


def _parts(parts: list[Any], column: str, place: int) -> str:
    """The text of content in parts, such as [{"type": "text", "text": "…"}], if all are text."""
    if all(isinstance(part, Mapping) and isinstance(part.get("text"), str) for part in parts):
        return "".join(part["text"] for part in parts)
    raise RowProblem("wrong_type", f"Turn {place} of {column} holds more than text.")
