"""A field for JSON that a user types."""

import json
import math
from collections.abc import Iterator
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.forms.fields import InvalidJSONInput

from jobs.verl.overrides import depth

LONGEST = 10_000  # characters
DEEPEST = 20  # lists and objects within each other


class JsonField(forms.JSONField):
    """JSON that a user types: neither long nor deep, and its numbers can be read."""

    def to_python(self, value: Any) -> Any:
        if isinstance(value, str) and (len(value) > LONGEST or depth(value) > DEEPEST):
            raise ValidationError("That is too long, or nested too deep.")
        try:
            found = super().to_python(value)
        except ValidationError:
            raise
        except ValueError:  # a number of thousands of digits
            raise ValidationError("That is not JSON.") from None
        if why := next(_unkept(found), ""):
            raise ValidationError(why)
        return found

    def bound_data(self, data: Any, initial: Any) -> Any:
        """What was typed, where it is no such JSON."""
        try:
            self.to_python(data)
        except ValidationError:
            return InvalidJSONInput(data or "")
        return super().bound_data(data, initial)


def _unkept(value: Any) -> Iterator[str]:
    """What no database keeps as JSON, in sentences."""
    if isinstance(value, dict | list):
        parts = [*value, *value.values()] if isinstance(value, dict) else value
        for part in parts:
            yield from _unkept(part)
    elif isinstance(value, float) and not math.isfinite(value):
        yield "A number is not finite: JSON has no NaN and no infinity."
    elif isinstance(value, str) and not _is_text(value):
        yield f"A text has a character that cannot be kept: {json.dumps(value)[:40]}."


def _is_text(value: str) -> bool:
    return "\0" not in value and not any("\ud800" <= each <= "\udfff" for each in value)
