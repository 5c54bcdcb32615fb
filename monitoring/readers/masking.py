"""Replace secrets in a run's output by stars, without moving a byte."""

from collections.abc import Sequence

CERTAIN = 4  # a secret counts as begun if a part ends with at least this many of its first bytes


def masked(data: bytes, secrets: Sequence[bytes]) -> bytes:
    """Replace each secret by equally many stars, also one whose end is not written yet."""
    for secret in secrets:
        data = data.replace(secret, b"*" * len(secret))
    begun = max((_begun(data, secret) for secret in secrets), default=0)
    return data[: len(data) - begun] + b"*" * begun


def lead_for(secrets: Sequence[bytes]) -> int:
    """How many bytes before a part must be read to find a secret that began there."""
    return max((len(secret) - 1 for secret in secrets), default=0)


def _begun(data: bytes, secret: bytes) -> int:
    """The length of the longest beginning of a secret with which the data end."""
    lengths = range(min(len(secret) - 1, len(data)), CERTAIN - 1, -1)
    return next((length for length in lengths if data.endswith(secret[:length])), 0)
