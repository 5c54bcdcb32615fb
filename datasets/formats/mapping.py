"""Convert a source row to the row that a trainer reads."""

from collections.abc import Callable, Mapping
from typing import Any

from datasets.formats.answers import truth_of
from datasets.formats.codes import RowProblem
from datasets.formats.columns import OPTIONS, ROLES, SHAPES, ColumnMapping, kept_columns
from datasets.formats.jsontext import dumps
from datasets.formats.turns import (
    Turn,
    before_answer,
    common_prefix,
    prompt_turns,
    text_of,
    turns_of,
    with_system,
)

__all__ = ["OPTIONS", "ROLES", "SHAPES", "ColumnMapping", "RowProblem", "convert", "value_at"]

Row = Mapping[str, Any]


def convert(data: Row, mapping: ColumnMapping, index: int, line: int, split: str) -> dict[str, Any]:
    """Convert a row for the trainer. Raises RowProblem."""
    reader = Reader(data, mapping)
    row = WRITERS[mapping.target](reader)
    row["extra_info"] = {"index": index, "line": line, "split": split, **reader.kept()}
    return row


class Reader:
    """A row with its mapping; it gives values by role."""

    def __init__(self, data: Row, mapping: ColumnMapping) -> None:
        self.data, self.mapping, self.shape = data, mapping, mapping.shape

    def get(self, role: str) -> Any:
        """A role's value; None when the role has no column, or the row has no value there."""
        return value_at(self.data, self.mapping.columns.get(role, ""))

    def need(self, role: str) -> Any:
        value = self.get(role)
        if value is None:
            raise RowProblem("missing_column", f"It has no {self.name(role)}.")
        return value

    def name(self, role: str) -> str:
        return self.mapping.columns.get(role) or role

    def text(self, role: str) -> str:
        value = self.get(role)
        return "" if value is None else text_of(value, self.name(role))

    def option(self, name: str) -> str:
        return self.mapping.options.get(name, "")

    def opened(self, turns: list[Turn]) -> list[Turn]:
        """Turns with the row's system prompt, or else the mapping's, and with the suffix."""
        turns = with_system(turns, self.text("system") or self.option("system"))
        if suffix := self.option("suffix"):
            asked = max((i for i, t in enumerate(turns) if t["role"] == "user"), default=None)
            if asked is not None:
                content = f"{turns[asked]['content']}{suffix}"
                turns[asked] = {**turns[asked], "content": content}
        return turns

    def kept(self) -> dict[str, Any]:
        return {name: value_at(self.data, name) for name in kept_columns(self.mapping)}


def value_at(data: Any, path: str) -> Any:
    """The value at a column, or at a dotted path into objects; None when it is missing."""
    if not path or path in data:
        return data.get(path)
    for name in path.split("."):
        data = data.get(name) if isinstance(data, Mapping) else None
    return data


def _conversation(reader: Reader) -> list[Turn]:
    """Prompt and answer as turns, for each shape."""
    role = {"messages": "messages", "verl_sft": "messages", "sharegpt": "conversations"}
    if reader.shape in role:
        name = role[reader.shape]
        return reader.opened(turns_of(reader.need(name), reader.name(name)))
    if reader.shape == "text":
        return [{"role": "assistant", "content": reader.text("text")}]
    if reader.shape == "preference":
        return [*(pair := _pair(reader))[0], *pair[1]]
    return [*_prompt(reader), *_response(reader)]


def _prompt(reader: Reader) -> list[Turn]:
    if reader.shape == "instruction":
        return reader.opened([{"role": "user", "content": _instruction(reader)}])
    if reader.shape in ("messages", "sharegpt"):
        return before_answer(_conversation(reader))
    role = "question" if reader.shape == "question_answer" else "prompt"
    return reader.opened(prompt_turns(reader.need(role), reader.name(role)))


def _instruction(reader: Reader) -> str:
    """Instruction and input, separated by an empty line; most rows have no input."""
    reader.need("instruction")
    instruction, given = reader.text("instruction"), reader.text("input")
    if not instruction.strip():
        raise RowProblem("no_prompt", f"{reader.name('instruction')} is empty.")
    return f"{instruction}\n\n{given}" if given.strip() else instruction


ANSWER_ROLES = {
    "prompt_response": "response",
    "instruction": "output",
    "question_answer": "answer",
}


def _response(reader: Reader) -> list[Turn]:
    role = ANSWER_ROLES[reader.shape]
    return _answer(reader.need(role), reader.name(role))


def _answer(value: Any, column: str) -> list[Turn]:
    if isinstance(value, list):
        return turns_of(value, column)
    text = text_of(value, column)
    if not text.strip():
        raise RowProblem("no_answer", f"{column} is empty.")
    return [{"role": "assistant", "content": text}]


def _sft(reader: Reader) -> dict[str, Any]:
    turns = _conversation(reader)
    if not any(turn["role"] == "assistant" for turn in turns):
        raise RowProblem("no_answer", "No turn is an assistant's: there is nothing to learn.")
    return {"messages": turns}


def _rl(reader: Reader) -> dict[str, Any]:
    prompt = _prompt(reader)
    if not prompt:
        raise RowProblem("no_prompt", "No turn stands before the answer.")
    return {
        "data_source": reader.text("data_source") or reader.option("data_source"),
        "prompt": prompt,
        "ability": reader.text("ability") or reader.option("ability"),
        "reward_model": _reward(reader),
    }


def _reward(reader: Reader) -> dict[str, str]:
    given = reader.get("reward_model") if reader.shape == "verl_rl" else None
    if isinstance(given, Mapping):
        truth = given.get("ground_truth")
        style = str(given.get("style") or "rule")
        text = "" if truth is None else truth if isinstance(truth, str) else dumps(truth).decode()
        return {"style": style, "ground_truth": text}
    style = reader.option("style") or "rule"
    truth = truth_of(_truth_text(reader), reader.option("extract") or "auto")
    if not truth and style == "rule":
        raise RowProblem("missing_truth", "It has no ground truth for the reward.")
    return {"style": style, "ground_truth": truth}


def _truth_text(reader: Reader) -> str:
    if reader.mapping.columns.get("truth"):
        return reader.text("truth")
    if reader.shape in ("messages", "sharegpt"):
        turns = _conversation(reader)
        return turns[-1]["content"] if turns[-1]["role"] == "assistant" else ""
    role = ANSWER_ROLES.get(reader.shape, "reward_model")
    value = reader.get(role)
    return "" if value is None else text_of(value, reader.name(role))


def _dpo(reader: Reader) -> dict[str, Any]:
    prompt, chosen, rejected = _pair(reader)
    return {"prompt": prompt, "chosen": chosen, "rejected": rejected}


def _pair(reader: Reader) -> tuple[list[Turn], list[Turn], list[Turn]]:
    chosen = _answer(reader.need("chosen"), reader.name("chosen"))
    rejected = _answer(reader.need("rejected"), reader.name("rejected"))
    prompt = reader.get("prompt")
    given = [] if prompt is None else prompt_turns(prompt, reader.name("prompt"))
    whole = {turns[0]["role"] != "assistant" for turns in (chosen, rejected)}
    if whole == {True}:
        given, chosen, rejected = _without_prompt(chosen, rejected)
    elif whole == {True, False}:
        raise RowProblem("different_prompts", "One answer holds the prompt, the other does not.")
    if not given:
        raise RowProblem("no_prompt", "It has no prompt, and the answers do not hold one.")
    return reader.opened(given), chosen, rejected


def _without_prompt(
    chosen: list[Turn], rejected: list[Turn]
) -> tuple[list[Turn], list[Turn], list[Turn]]:
    """Split two conversations into their common prompt and two ends that begin with an answer."""
    common = common_prefix(chosen, rejected)
    longest = min(common, len(chosen) - 1, len(rejected) - 1)
    while longest > 0 and chosen[longest - 1]["role"] == "assistant":
        longest -= 1
    if not longest or {chosen[longest]["role"], rejected[longest]["role"]} != {"assistant"}:
        raise RowProblem(
            "different_prompts", "The two conversations do not begin with the same prompt."
        )
    return chosen[:longest], chosen[longest:], rejected[longest:]


WRITERS: Mapping[str, Callable[[Reader], dict[str, Any]]] = {"sft": _sft, "rl": _rl, "dpo": _dpo}
