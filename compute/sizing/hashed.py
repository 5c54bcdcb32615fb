"""A hash that is computed once for each object.

A search asks thousands of questions about one model. Python hashes a frozen dataclass anew at each
look-up, and that of a model's facts takes microseconds.
"""

from typing import Any, ClassVar

KEPT = "_hash"


class HashedOnce:
    """For a frozen dataclass, which says ``__hash__ = HashedOnce.__hash__``: it would put its own
    in the place of an inherited one."""

    _hash: ClassVar[int]  # of the class for types alone: each object has its own, once it is asked

    def __hash__(self) -> int:
        try:
            return self._hash
        except AttributeError:
            own, fields = vars(self), type(self).__dataclass_fields__  # type: ignore[attr-defined]
            own[KEPT] = found = hash(tuple(own[name] for name in fields))
            return found

    def __getstate__(self) -> dict[str, Any]:
        """Another process hashes text otherwise."""
        return {name: value for name, value in vars(self).items() if name != KEPT}
