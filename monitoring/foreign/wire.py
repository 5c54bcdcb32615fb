"""The encoding of protobuf messages, as far as it is needed to read some of their fields."""

from collections.abc import Iterator

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5


def varint(data: bytes, at: int) -> tuple[int, int]:
    """A number and the place behind it. Raises ``IndexError`` and ``ValueError``."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("the number is too long")


def fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The number of each field with its value: a number, or bytes. Raises ``ValueError``."""
    at, size = 0, len(data)
    try:
        while at < size:
            key, at = varint(data, at)
            kind = key & 7
            if kind == VARINT:
                value, at = varint(data, at)
                yield key >> 3, value
                continue
            if kind == BYTES:
                length, at = varint(data, at)
            elif kind in (FIXED64, FIXED32):
                length = 8 if kind == FIXED64 else 4
            else:
                raise ValueError(f"no field of kind {kind}")
            if at + length > size:
                raise ValueError("the field is cut off")
            yield key >> 3, data[at : at + length]
            at += length
    except IndexError:
        raise ValueError("the message is cut off") from None
