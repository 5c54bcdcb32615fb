from django.core.exceptions import ValidationError

from jobs.kinds.registry import registry


def known_kind(slug: str) -> None:
    """Raises ``ValidationError`` for a kind of job that is not installed."""
    if slug not in registry().kinds:
        known = ", ".join(registry().kinds)
        raise ValidationError(f"There is no kind of job {slug}. There are: {known}.")
