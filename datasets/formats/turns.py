"""Turns of a conversation, in the forms that data sets use."""

from collections.abc import Mapping, Sequence
from typing import Any

from datasets.formats.codes import RowProblem
from datasets.formats.jsontext import loads, pruned

Turn = dict[str, Any]
MARKS = ("weight", "train", "training", "trainable", "loss")  # false or 0: not to be trained on
TALK = ("tool_calls", "tool_call_id", "name", "reasoning_content", "reasoning", "thinking")
TEXTS = ("role", "content", "from", "value")
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
PLAIN = {*TEXTS}
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
    if content is not None and not isinstance(content, str):
        raise RowProblem("wrong_type", f"The content of turn {place} of {column} is not text.")
    return {"role": role, "content": content or "", **_more(item, f"Turn {place} of {column}")}


def is_trained(turn: Turn) -> bool:
    """Whether an answer is to be learnt: nothing marks it as not to be trained on."""
    marks = [turn[mark] for mark in MARKS if turn.get(mark) is not None]
    return turn["role"] == "assistant" and all(marks)


def objects_of(value: Any, what: str) -> list[dict[str, Any]]:
    """A list of objects, or the same as JSON text. Raises RowProblem."""
    if isinstance(value, str):
        value = _parsed(value)
    if isinstance(value, list):
        value = [_parsed(item) if isinstance(item, str) else item for item in value]
        if all(isinstance(item, Mapping) for item in value):
            return [pruned(item) for item in value]
    raise RowProblem("not_carried", f"{what} is not a list of objects.")


def _parsed(text: str) -> Any:
    try:
        return loads(text.encode())
    except (RowProblem, UnicodeEncodeError):
        return None


def _more(item: Mapping[str, Any], what: str) -> Turn:
    """What a turn has beside its text, as far as a chat template or the trainer reads it."""
    if item.keys() <= PLAIN:
        return {}
    if item.get("function_call"):
        raise RowProblem("not_carried", f"{what} has a function_call: write it as tool_calls.")
    found = {key: pruned(item[key]) for key in TALK if item.get(key) not in (None, "", [])}
    if "tool_calls" in found:
        found["tool_calls"] = objects_of(found["tool_calls"], f"tool_calls of {what}")
    for mark in MARKS:
        if item.get(mark) is not None:
            found[mark] = _mark(item[mark], f"{mark} of {what}")
    return found


def _mark(value: Any, what: str) -> int:
    if value in (0, 1) and isinstance(value, int | float):
        return value if isinstance(value, bool) else int(value)
    raise RowProblem(
        "not_carried", f"{what} is {str(value)[:40]!r}: a run trains on a turn, or does not."
    )


def _parts(parts: list[Any], column: str, place: int) -> str:
    """The text of content in parts, such as [{"type": "text", "text": "…"}], if all are text."""
    if all(isinstance(part, Mapping) and isinstance(part.get("text"), str) for part in parts):
        return "".join(part["text"] for part in parts)
    raise RowProblem("wrong_type", f"Turn {place} of {column} holds more than text.")
