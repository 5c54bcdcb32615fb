"""What is shown beside a setting that is allowed but seldom meant. A warning refuses nothing."""

from dataclasses import dataclass


@dataclass(frozen=True)
class FieldWarning:
    """``field`` is a setting's name, ``overrides``, or empty for the whole job; ``label`` is how
    its page calls it.
    """

    field: str
    message: str
    label: str = ""

    def __str__(self) -> str:
        return f"{self.field}: {self.message}" if self.field else self.message


@dataclass(frozen=True)
class Range:
    """The usual values of a setting, both ends included, and the reason."""

    low: float
    high: float
    why: str

    def __contains__(self, value: object) -> bool:
        return not isinstance(value, int | float) or self.low <= value <= self.high

    def warning(self, value: float) -> str:
        """What to say of a value outside of it."""
        return f"Not {value:g} but {self.low:g} to {self.high:g} is usual. {self.why}"
