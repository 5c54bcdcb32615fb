"""What a row has beside its turns: tools, images, extra_info; and what of it is lost."""

from collections.abc import Iterable, Mapping
from typing import Any

from datasets.formats.carried import media_of
from datasets.formats.codes import RowProblem
from datasets.formats.jsontext import dumps, pruned
from datasets.formats.reader import Reader
from datasets.formats.tables import MEDIA, TURN_COLUMNS
from datasets.formats.turns import PLAIN, TEXTS, objects_of

NOTHING: tuple[Any, ...] = (None, "", [], {})
TALKS = ("messages", "conversations", "prompt", "response", "chosen", "rejected", "answer")
LIKE_MEDIA = {name: (name, name.removesuffix("s")) for name in MEDIA}


def sft_columns(reader: Reader) -> dict[str, Any]:
    """The columns that verl's SFT reads beside the messages."""
    found: dict[str, Any] = {}
    if (tools := reader.get("tools")) not in NOTHING:
        found["tools"] = objects_of(tools, reader.name("tools"))
    if reader.mapping.columns.get("enable_thinking"):
        value = reader.get("enable_thinking")
        if not isinstance(value, bool | None):
            raise RowProblem(
                "not_carried", f"{reader.name('enable_thinking')} is not true or false."
            )
        found["enable_thinking"] = value is not False  # empty is verl's own default
    return found


def agent_column(reader: Reader) -> dict[str, str]:
    if not reader.mapping.columns.get("agent_name"):
        return {}
    reader.need("agent_name")
    return {"agent_name": reader.text("agent_name")}


def structured(truth: Any) -> Any:
    """A ground truth as the scorer reads it: lists and objects as they are, the rest as text."""
    if isinstance(truth, Mapping | list):
        return pruned(truth)
    return "" if truth is None else truth if isinstance(truth, str) else dumps(truth).decode()


def extra_info(reader: Reader) -> dict[str, Any]:
    """The source's own extra_info, with what tools are made with."""
    given = reader.get("extra_info")
    if given in NOTHING:
        return {}
    if not isinstance(given, Mapping):
        raise RowProblem("not_carried", f"{reader.name('extra_info')} is not an object.")
    found: dict[str, Any] = pruned(given)
    return found


def media_columns(reader: Reader, row: Mapping[str, Any]) -> dict[str, Any]:
    """Images, videos and audios, as many as the turns have marks. Raises RowProblem."""
    found: dict[str, Any] = {}
    turns = [turn for name in TURN_COLUMNS for turn in row.get(name, ())]
    for name, mark in MEDIA.items():
        given = reader.get(name)
        items = [] if given in NOTHING else media_of(given, name)
        marks = sum(turn["content"].count(mark) for turn in turns)
        if reader.mapping.columns.get(name):
            _must_match(name, len(items), mark, marks)
            found[name] = items
        elif marks and any(reader.data.get(one) not in NOTHING for one in LIKE_MEDIA[name]):
            raise RowProblem("media", f"Its {name} are not mapped, and its text has {mark}.")
    if reader.mapping.target == "dpo" and any(found.values()):
        raise RowProblem("not_carried", "DPO reads text only.")
    return {name: items for name, items in found.items() if items}


def _must_match(name: str, items: int, mark: str, marks: int) -> None:
    if items != marks:
        raise RowProblem("media", f"It has {items} {name} and {marks} times {mark} in its text.")


def lost(reader: Reader, row: Mapping[str, Any]) -> set[str]:
    """Columns that nothing reads, and parts of turns that the new row does not have."""
    columns = {
        name
        for name, value in reader.data.items()
        if name not in reader.used and value not in NOTHING
    }
    given = _parts(turn for role in TALKS for turn in _list(reader.get(role)))
    made = _parts(turn for name in TURN_COLUMNS for turn in _list(row.get(name)))
    return columns | given - made


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _parts(turns: Iterable[Any]) -> set[str]:
    """What the turns hold beside role and text."""
    return {
        key
        for turn in turns
        if isinstance(turn, Mapping) and not turn.keys() <= PLAIN
        for key, value in turn.items()
        if key not in TEXTS and value not in NOTHING
    }
