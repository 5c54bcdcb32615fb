"""Convert a source row to the row that a trainer reads."""

from collections.abc import Callable, Mapping
from typing import Any

from datasets.formats.answers import truth_of
from datasets.formats.beside import (
    agent_column,
    extra_info,
    lost,
    media_columns,
    sft_columns,
    structured,
)
from datasets.formats.codes import RowProblem
from datasets.formats.columns import OPTIONS, ROLES, SHAPES, ColumnMapping
from datasets.formats.jsontext import pruned
from datasets.formats.reader import Reader, Row, value_at
from datasets.formats.turns import (
    Turn,
    before_answer,
    common_prefix,
    is_trained,
    prompt_turns,
    text_of,
    turns_of,
)

__all__ = ["OPTIONS", "ROLES", "SHAPES", "ColumnMapping", "RowProblem", "convert", "value_at"]


def convert(data: Row, mapping: ColumnMapping, index: int, line: int, split: str) -> dict[str, Any]:
    """Convert a row for the trainer. Raises RowProblem."""
    return converted(data, mapping, index, line, split)[0]


def converted(
    data: Row, mapping: ColumnMapping, index: int, line: int, split: str
) -> tuple[dict[str, Any], set[str]]:
    """A row for the trainer, and the names of what is lost of it. Raises RowProblem."""
    reader = Reader(data, mapping)
    row = WRITERS[mapping.target](reader)
    row |= media_columns(reader, row)
    given = extra_info(reader) if mapping.target == "rl" else {}
    place = {"index": index, **given, "line": line, "split": split}
    row["extra_info"] = {**place, **reader.kept()}
    return row, lost(reader, row)


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


TURN_KEYS = {"content", "value"}
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
    if isinstance(value, Mapping) and TURN_KEYS & value.keys():
        return turns_of([value], column)
    text = text_of(value, column)
    if not text.strip():
        raise RowProblem("no_answer", f"{column} is empty.")
    return [{"role": "assistant", "content": text}]


def _sft(reader: Reader) -> dict[str, Any]:
    turns = _conversation(reader)
    if not any(map(is_trained, turns)):
        raise RowProblem("no_answer", "No turn is an assistant's: there is nothing to learn.")
    return {"messages": turns, **sft_columns(reader)}


def _rl(reader: Reader) -> dict[str, Any]:
    prompt = _prompt(reader)
    if not prompt:
        raise RowProblem("no_prompt", "No turn stands before the answer.")
    return {
        "data_source": reader.text("data_source") or reader.option("data_source"),
        "prompt": prompt,
        "ability": reader.text("ability") or reader.option("ability"),
        "reward_model": _reward(reader),
        **agent_column(reader),
    }


def _reward(reader: Reader) -> dict[str, Any]:
    given = reader.get("reward_model") if reader.shape == "verl_rl" else None
    if isinstance(given, Mapping):
        style = str(given.get("style") or "rule")
        given_truth = structured(given.get("ground_truth"))
        return {**pruned(given), "style": style, "ground_truth": given_truth}
    style = reader.option("style") or "rule"
    if isinstance(found := reader.get("truth"), Mapping | list) and found:
        return {"style": style, "ground_truth": pruned(found)}
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
    if not all(is_trained(turn) for turn in (*chosen, *rejected) if turn["role"] == "assistant"):
        raise RowProblem("not_carried", "An answer is not to be trained on; DPO trains on both.")
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
