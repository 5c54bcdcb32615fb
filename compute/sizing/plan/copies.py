"""Copies of frozen dataclasses with other fields, made as often as a search makes them."""

from typing import Any, TypeVar

Thing = TypeVar("Thing")


def replaced(thing: Thing, **changes: Any) -> Thing:
    """As ``dataclasses.replace``, five times as fast; the thing itself where nothing differs.

    For classes without slots and without ``__post_init__`` alone. What a cached property kept is
    no field, and so is not copied.
    """
    old, fields = vars(thing), type(thing).__dataclass_fields__  # type: ignore[attr-defined]
    for name, value in changes.items():
        if old[name] is not value:
            break
    else:
        return thing
    copy = object.__new__(type(thing))
    new = vars(copy)
    new.update(old, **changes)
    if len(new) > len(fields):
        for name in new.keys() - fields.keys():
            del new[name]
    return copy
