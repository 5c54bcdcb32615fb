"""Parse JSON from a run, which may hold anything."""

import json
from typing import Any

import orjson


def parse(text: str) -> Any:
    """Parse JSON. Raises ``ValueError``, also for JSON that is nested too deep."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deep") from None


def parse_bytes(data: bytes) -> Any:
    """Read JSON, fast where it keeps to the standard.

    NaN, infinities, lone surrogates and bytes that are not UTF-8 are read all the same. Raises
    ``ValueError``.
    """
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return parse(data.decode("utf-8", "replace"))
