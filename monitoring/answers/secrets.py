"""Takes the owner's secrets out of what a model wrote, as the log does."""

from collections.abc import Sequence

from monitoring.answers.rows import Row, text_of


def hidden(text: str, secrets: Sequence[str]) -> str:
    """A text with each secret replaced by equally many stars."""
    for secret in secrets:
        text = text.replace(secret, "*" * len(secret))
    return text


def input_of(row: Row, secrets: Sequence[str]) -> str:
    return hidden(text_of(row["input"]), secrets)


def output_of(row: Row, secrets: Sequence[str]) -> str:
    return hidden(text_of(row.get("output")), secrets)
