"""Convert the values of a user's function to values that JSON can hold."""

from typing import Any

LONGEST_TEXT = 10_000
LONGEST_LIST = 1000


def plain(value: Any, depth: int = 6) -> Any:
    """Turn non-finite numbers and other objects into text; cut long texts and lists."""
    if depth > 0 and isinstance(value, dict):
        return {str(key)[:200]: plain(entry, depth - 1) for key, entry in value.items()}
    if depth > 0 and isinstance(value, list | tuple):
        return [plain(entry, depth - 1) for entry in value[:LONGEST_LIST]]
    if depth > 0 and callable(getattr(value, "tolist", None)):  # scalars of numpy and torch
        return plain(value.tolist(), depth - 1)
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return str(value)
    if isinstance(value, int) and value.bit_length() > 64:
        return f"(a whole number of {value.bit_length()} bits)"
    if value is None or isinstance(value, bool | int | float):
        return value
    return text_of(value)


def text_of(value: Any) -> str:
    """The text of any object, cut to a limit; never raises."""
    try:
        text = value if isinstance(value, str) else repr(value)
    except Exception as error:
        text = f"({type(value).__name__}, whose text cannot be read: {type(error).__name__})"
    return text if len(text) <= LONGEST_TEXT else text[:LONGEST_TEXT] + "…"
