"""The layers of a model in their new order, as somebody writes them."""

import re

PART = re.compile(r"([0-9]{1,4})(?:-([0-9]{1,4}))?")
MOST = 1000


class LayersError(ValueError):
    """They cannot be read. The message is a sentence for the user."""


def read_layers(text: str) -> list[int]:
    """``0-3, 5, 5`` is 0, 1, 2, 3, 5, 5. Raises ``LayersError``."""
    found = list[int]()
    for word in text.replace(",", " ").split():
        match = PART.fullmatch(word)
        if match is None:
            raise LayersError(f"{word} is no layer, and no range such as 0-11.")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first:
            raise LayersError(f"{word} ends before it begins.")
        found += range(first, last + 1)
        if len(found) > MOST:
            raise LayersError(f"These are more than {MOST} layers.")
    return found
