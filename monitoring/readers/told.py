"""What a run may tell by an event: a kind, a message, and data of which the figures are figures."""

from collections.abc import Mapping, Sequence
from typing import Any

from compute.runners.text import bounded
from jobs import events
from platform_site.events import kind_of

LONGEST_KIND = 40
LARGEST = 2**63 - 1
# Data that is read again later; of other kinds nothing is.
WHOLE: Mapping[str, Sequence[str]] = {
    events.RUN_PAUSED: ("step",),
    events.RUN_CHECKPOINT: ("step",),
    events.RUN_PLANNED: ("steps",),
    events.RUN_EXPORTED: ("tensors", "bytes"),
}


def clean_event(told: dict[str, Any]) -> dict[str, Any]:
    """The event with a kind, a message and its data. Raises ``ValueError`` for what is no event of
    a run: one of the platform's own, or one whose figures are none."""
    kind, message = told.get("kind"), told.get("message", "")
    if not isinstance(kind, str) or not 0 < len(kind) <= LONGEST_KIND:
        raise ValueError("it has no kind")
    if not isinstance(message, str):
        raise ValueError("its message is no text")
    if is_platforms_own(kind):
        raise ValueError("only the platform tells that")
    for name in WHOLE.get(kind, ()):
        if name in told and not _is_whole(told[name]):
            raise ValueError(f"{name} is no whole number")
    return told | {"message": bounded(message)}


def is_platforms_own(kind: str) -> bool:
    """Whether the platform tells events of this kind, and no run does."""
    return kind_of(kind, events.PLATFORM).is_known and not kind_of(kind, events.RUN).is_known


def _is_whole(value: object) -> bool:
    return type(value) is int and 0 <= value <= LARGEST
