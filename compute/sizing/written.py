"""A question as JSON and back, so that the same can be asked again after the model has gone."""

import types
from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass
from functools import cache
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from compute.sizing.question import Question

T = TypeVar("T")
UNIONS = (Union, types.UnionType)


def as_json(question: Question) -> dict[str, Any]:
    """The question as values that JSON has."""
    return asdict(question)


def read_question(data: Mapping[str, Any]) -> Question:
    """The question that ``as_json`` wrote, also if an earlier version of Trainyard did.

    What this version does not know is left out. Raises ``ValueError`` where something lacks or is
    of another type.
    """
    return _record(Question, data)


def _record(kind: type[T], data: Any) -> T:
    if not isinstance(data, Mapping):
        raise ValueError(f"{data!r} is no {kind.__name__}.")
    types_of = _types(kind)  # type: ignore[arg-type]  # a class can be hashed
    values = {name: _value(types_of[name], data[name]) for name in types_of if name in data}
    try:
        return kind(**values)
    except TypeError as error:  # a field without a default lacks
        raise ValueError(str(error)) from None


@cache
def _types(kind: Any) -> Mapping[str, Any]:
    hints = get_type_hints(kind)
    return {each.name: hints[each.name] for each in fields(kind)}


def _value(kind: Any, value: Any) -> Any:
    origin, inner = get_origin(kind), get_args(kind)
    if origin in UNIONS:
        return _one_of(inner, value)
    if origin is tuple and isinstance(value, list | tuple):
        return tuple(_value(inner[0], each) for each in value)
    if is_dataclass(kind) and isinstance(kind, type):
        return _record(kind, value)
    return _plain(kind, value)


def _one_of(kinds: tuple[Any, ...], value: Any) -> Any:
    """The value as the first of these types that it can be read as."""
    for kind in kinds:
        try:
            return _value(kind, value)
        except ValueError:
            continue
    raise ValueError(f"{value!r} is none of {kinds}.")


def _plain(kind: Any, value: Any) -> Any:
    if get_origin(kind) is Literal:
        is_right = value in get_args(kind)
    elif kind is float:
        is_right = type(value) in (int, float)
    else:
        is_right = isinstance(kind, type) and type(value) is kind
    if not is_right:
        raise ValueError(f"{value!r} is no {kind}.")
    return value
