"""Reads the greeting of a server within bounds, before it is taken for an SSH server."""

import time
from typing import Any

from compute.runners.base import Unreachable

MOST = 64 * 1024  # bytes before the line that begins with SSH-; a few lines are usual
CHUNK = 4096
SHOWN = 60  # characters of what was said instead


class Greeted:
    """A socket or channel whose greeting was read, and is given once more to the next reader."""

    def __init__(self, line: Any, read: bytes) -> None:
        self._line, self._read = line, read

    def recv(self, count: int) -> bytes:
        if not self._read:
            return bytes(self._line.recv(count))
        part, self._read = self._read[:count], self._read[count:]
        return part

    def __getattr__(self, name: str) -> Any:
        return getattr(self._line, name)


def greet(line: Any, name: str, within: float) -> Greeted:
    """Wait for the line ``SSH-…``. Raises ``Unreachable`` with what is there in its place."""
    deadline, read = time.monotonic() + within, b""
    while (start := _start(read)) is None:
        part = _receive(line, name, deadline - time.monotonic(), read)
        read += part
        if not part or len(read) > MOST:
            raise Unreachable(_not_ssh(name, read))
    return Greeted(line, read[start:])


def _start(read: bytes) -> int | None:
    """Where the greeting begins, once it is whole; other lines may come before it."""
    begin = 0
    while (end := read.find(b"\n", begin)) >= 0:
        if read.startswith(b"SSH-", begin):
            return begin
        begin = end + 1
    return None


def _receive(line: Any, name: str, left: float, read: bytes) -> bytes:
    if left <= 0:
        raise Unreachable(_silent(name, read))
    line.settimeout(left)
    try:
        return bytes(line.recv(CHUNK))
    except TimeoutError:
        raise Unreachable(_silent(name, read)) from None
    except OSError as error:
        raise Unreachable(f"{name} closed the connection at once ({error}).") from error


def _silent(name: str, read: bytes) -> str:
    if read:
        return _not_ssh(name, read)
    return (
        f"{name} takes the connection and then says nothing. Is this the port of its SSH server, "
        "and does that server still have room for connections?"
    )


def _not_ssh(name: str, read: bytes) -> str:
    if not read:
        return f"{name} closed the connection at once. Does its SSH server let this address in?"
    if len(read) > MOST:
        return f"{name} sent {MOST // 1024} KiB without a greeting of SSH. Is this the right port?"
    said = read[:SHOWN].decode("ascii", "replace").strip()
    shown = "".join(letter if letter.isprintable() else " " for letter in said)
    return f"What answers at {name} is not SSH: it said “{shown}”. Is this the right port?"
