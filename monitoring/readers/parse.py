"""Parse JSON from a run, which may hold anything."""

import json
from typing import Any


def parse(text: str) -> Any:
    """Parse JSON. Raises ``ValueError``, also for JSON that is nested too deep."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deep") from None
