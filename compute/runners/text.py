"""Makes any text of a machine fit for every database and page."""

import math
from typing import Any

LONGEST_WORDS = 2000  # characters of a sentence for the user
CUT = " …"


def readable(text: str) -> str:
    """Replaces what UTF-8 (lone surrogates) or PostgreSQL (NUL) cannot hold."""
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


def bounded(text: str) -> str:
    """Readable text, cut to ``LONGEST_WORDS``: a far machine's words within a sentence."""
    text = readable(text)
    return text if len(text) <= LONGEST_WORDS else text[: LONGEST_WORDS - len(CUT)] + CUT
