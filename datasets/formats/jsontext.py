"""Exact conversion between JSON and values: big integers, duplicate keys, surrogates, depth."""

import base64
import datetime
import decimal
import json
import re
from collections.abc import Mapping
from typing import Any

import orjson

from datasets.formats.codes import RowProblem

DIGITS = bytes(ord("0") if chr(byte).isdigit() and byte < 128 else ord(" ") for byte in range(256))
BIG = b"0" * 19  # the shortest digits of an integer that may not fit 64 bits
LONG_RUN = re.compile(rb"\d{19}")
DEEPEST = 254  # the depth limit of orjson when it writes
HALF = "It holds half of a surrogate pair (\\ud800 to \\udfff)."
NOT_UTF8 = "It is not valid UTF-8."
SPACES = bytes.maketrans(b"\0\r\n\t", b"    ")


def has_big(raw: bytes) -> bool:
    """Whether ``raw`` may hold an integer beyond 64 bits, which orjson would round."""
    if len(raw) > 2**20:  # the regular expression is slower but makes no copy
        return LONG_RUN.search(raw) is not None
    return BIG in raw.translate(DIGITS)


def loads(raw: bytes, big: bool = False) -> Any:
    """Parse JSON. ``big`` uses Python's own parser, which is exact and slow.

    Raises RowProblem.
    """
    if big:
        return _slowly(raw)
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        if b"NaN" in raw or b"Infinity" in raw:
            _slowly(raw)  # Python's own parser names them
        raise _problem(raw, error) from None


def loads_object(raw: bytes, big: bool = False) -> tuple[dict[str, Any], bytes]:
    """An object and its compact text. Raises RowProblem, also for a duplicate key."""
    value = loads(raw, big)
    if type(value) is not dict:
        raise RowProblem("not_object", f"It is {kind(value)}; a row is an object.")
    text = dumps(value)
    # A key that orjson dropped takes its quotes along; an escaped quote would hide that.
    if text.count(b'"') != raw.count(b'"') or b"\\u00" in raw:
        _slowly(raw)
    return value, text


def dumps(value: Any) -> bytes:
    """Compact JSON. Dates, decimals and durations become text, bytes become base64, NaN null."""
    try:
        return orjson.dumps(value, default=_plain)
    except TypeError as error:
        if "integer" in str(error).lower():
            return _dumps_slowly(value)
        if "ecursion" in str(error):
            raise _too_deep() from None
        if "UTF-8" in str(error):
            raise RowProblem("encoding", HALF) from None
        raise RowProblem("value", f"It cannot be written as JSON: {error}.") from None


def read(text: str) -> Any:
    """Parse a value that ``dumps`` wrote."""
    raw = text.encode()
    return json.loads(text) if has_big(raw) else orjson.loads(raw)


def pruned(value: Any) -> Any:
    """A value without the empty fields that parquet gives an object where others have them."""
    if isinstance(value, Mapping):
        return {key: pruned(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [pruned(inner) for inner in value]
    return value


def kind(value: Any) -> str:
    """The JSON name of a value's type."""
    return KINDS.get(type(value), "str")


KINDS = {
    dict: "object",
    list: "list",
    tuple: "list",
    str: "str",
    bool: "bool",
    int: "int",
    float: "float",
    type(None): "null",
}


def excerpt(raw: bytes | str, width: int = 200) -> str:
    """The beginning of a row for a page, without characters that a database refuses."""
    data = raw[: width * 4] if isinstance(raw, bytes) else raw[:width].encode("utf-8", "replace")
    text = data.translate(SPACES).decode("utf-8", "replace")
    return text if len(text) <= width else text[: width - 1] + "…"


def _slowly(raw: bytes) -> Any:
    try:
        return json.loads(raw, object_pairs_hook=unique, parse_constant=refuse_constant)
    except (ValueError, RecursionError) as error:
        raise _problem(raw, error) from None


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build an object for json's hook. Raises RowProblem for a duplicate key."""
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    keys = [key for key, _ in pairs]
    twice = next(key for key in keys if keys.count(key) > 1)
    raise RowProblem("duplicate_key", f"The key {excerpt(twice, 50)!r} stands twice in one object.")


def refuse_constant(name: str) -> Any:
    raise RowProblem("broken_json", f"{name} is not JSON; write null or text.")


def _problem(raw: bytes, error: Exception) -> RowProblem:
    said = str(error)
    if isinstance(error, RecursionError) or "depth limit" in said:
        return _too_deep()
    if b"\0" in raw:
        return RowProblem("nul", "It holds a NUL byte, which JSON does not allow.")
    if "surrogate" in said or "UTF-8" in said or isinstance(error, UnicodeDecodeError):
        return RowProblem("encoding", HALF if _is_utf8(raw) else NOT_UTF8)
    if isinstance(error, json.JSONDecodeError):
        return RowProblem("broken_json", f"It is not JSON: {error.msg} at column {error.colno}.")
    return RowProblem("value", f"It holds a value that cannot be read: {said}.")


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def _too_deep() -> RowProblem:
    return RowProblem("too_deep", f"Its lists and objects go more than {DEEPEST} levels deep.")


def _dumps_slowly(value: Any) -> bytes:
    try:
        text = json.dumps(
            value, ensure_ascii=False, separators=(",", ":"), default=_plain, allow_nan=False
        )
        return text.encode()
    except RecursionError:
        raise _too_deep() from None
    except UnicodeEncodeError:
        raise RowProblem("encoding", HALF) from None
    except (ValueError, TypeError) as error:
        raise RowProblem("value", f"It cannot be written as JSON: {error}.") from None


def _plain(value: Any) -> Any:
    if isinstance(value, bytes | bytearray | memoryview):
        return base64.b64encode(bytes(value)).decode()
    if isinstance(value, decimal.Decimal | datetime.timedelta):
        return str(value)
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no JSON form")
