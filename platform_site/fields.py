"""What several apps do with the fields of their forms and addresses."""

from django.core.exceptions import ValidationError

LONGEST_WORDS = 200  # characters; no list is searched for more


def one_line(text: str) -> None:
    if not text.isprintable():
        raise ValidationError("A name is one line of printable characters.")


def asked_key(text: str) -> int | None:
    """The key of a row that an address names; None for what no database has as a key."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 16 else None


def asked(text: str | None) -> str:
    """A word of an address as a database can look for it."""
    return (text or "").replace("\0", "")[:LONGEST_WORDS]
