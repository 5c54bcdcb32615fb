"""JSON from a run, which may hold anything, as values that any database can store."""

import json
import math
from typing import Any


def parse(text: str) -> Any:
    """Read JSON. Raises ``ValueError`` also for what is nested beyond all measure."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deep") from None


def readable(text: str) -> str:
    """Text without what UTF-8 (lone surrogates) or PostgreSQL (NUL) cannot hold."""
    return (
        text.replace("\0", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    )


def storable(value: Any) -> Any:
    """A parsed value with readable text, and None for NaN and infinity, which JSON has not."""
    if isinstance(value, str):
        return readable(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, list):
        return [storable(item) for item in value]
    if isinstance(value, dict):
        return {readable(key): storable(item) for key, item in value.items()}
    return value
