"""Checks of form fields that several apps use."""

from django.core.exceptions import ValidationError


def one_line(text: str) -> None:
    if not text.isprintable():
        raise ValidationError("A name is one line of printable characters.")
