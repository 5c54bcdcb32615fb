"""A field for JSON that a user types."""

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
            return super().to_python(value)
        except ValidationError:
            raise
        except ValueError:  # a number of thousands of digits
            raise ValidationError("That is not JSON.") from None

    def bound_data(self, data: Any, initial: Any) -> Any:
        """What was typed, where it is no such JSON."""
        try:
            self.to_python(data)
        except ValidationError:
            return InvalidJSONInput(data or "")
        return super().bound_data(data, initial)
