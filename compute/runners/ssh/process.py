"""A process on the far machine: its streams, its end, and the one line that starts it."""

import select
import shlex
import time
from collections.abc import Sequence
from contextlib import suppress

import paramiko

from compute.runners.base import RunnerError, RunnerUnsure, Unreachable

ANSWERS_WITHIN = 60.0  # seconds; a machine under load may take long to start a Python
SHORTEST = 0.001  # seconds; zero would mean not to wait at all, also for what is there already
MOST_ANSWER = 64 << 20  # bytes
MOST_LAST_WORDS = 64 * 1024  # bytes of stderr that are kept
CHUNK = 256 * 1024
PACKET_HEAD = 64  # bytes of a packet that paramiko keeps for itself
LOST = (paramiko.SSHException, EOFError, OSError)  # what paramiko raises when the line is cut
NOT_FOUND, NOT_EXECUTABLE = 127, 126
KILLED = 128  # and the signal's number


class Cut(RunnerError):
    """The far side stopped talking in the middle: its process ended, or the connection did."""


class Ended(RunnerError):
    """The far process ended with this code, and said this."""

    def __init__(self, code: int, said: str) -> None:
        super().__init__(said or f"The command ended with {code} on the far machine.")
        self.code, self.said = code, said


class Killed(RunnerUnsure):
    """The far command was killed: nobody knows what it had done by then."""


def command_line(argv: Sequence[str]) -> str:
    """The one place that builds a line for the far shell: every argument is quoted."""
    return " ".join(shlex.quote(part) for part in argv)


class FarProcess:
    """Reads exactly and sends wholly, within times. One thread uses it."""

    def __init__(self, channel: paramiko.Channel, name: str) -> None:
        self.channel, self.name = channel, name
        self._read = bytearray()

    def send(self, data: bytes, within: float = ANSWERS_WITHIN) -> None:
        """Send all of it within the time. Raises ``Cut`` when the far side takes no more."""
        deadline = time.monotonic() + within
        # In pieces of one packet: paramiko copies the rest of a longer piece each time.
        piece = self.channel.out_max_packet_size - PACKET_HEAD
        try:
            for at in range(0, len(data), piece):
                self.channel.settimeout(max(deadline - time.monotonic(), SHORTEST))
                self.channel.sendall(data[at : at + piece])
        except LOST as error:
            raise Cut(f"{self.name} takes no more ({error or 'too slow'}).") from error

    def end_input(self) -> None:
        """Tell the far side that no more comes. Raises ``Cut``."""
        try:
            self.channel.shutdown_write()
        except LOST as error:
            raise Cut(f"{self.name} takes no more ({error}).") from error

    def some(self, most: int, within: float = ANSWERS_WITHIN) -> bytes:
        """At least one byte and at most so many. Raises as ``read`` does."""
        if not self._read:
            return self._receive(within, most)
        taken = bytes(self._read[:most])
        del self._read[:most]
        return taken

    def read(self, count: int, within: float = ANSWERS_WITHIN) -> bytes:
        """So many bytes. Raises ``Cut`` if fewer come, ``RunnerUnsure`` if they come too late."""
        deadline = time.monotonic() + within
        while len(self._read) < count:
            self._read += self._receive(max(deadline - time.monotonic(), SHORTEST), told=within)
        taken = bytes(self._read[:count])
        del self._read[:count]
        return taken

    def read_past(self, mark: bytes, most: int, within: float = ANSWERS_WITHIN) -> None:
        """Skip what stands before a mark, and the mark. Raises ``Cut`` when it does not come."""
        deadline = time.monotonic() + within
        while (at := self._read.find(mark)) < 0:
            if len(self._read) > most:
                raise Cut(f"{self.name} answers with something else.")
            self._read += self._receive(max(deadline - time.monotonic(), SHORTEST), told=within)
        del self._read[: at + len(mark)]

    def finish(self, stdin: bytes = b"", within: float = ANSWERS_WITHIN) -> bytes:
        """Send the rest, wait for the end, and return what it wrote. See ``Connection.run``."""
        deadline = time.monotonic() + within
        try:
            self.send(stdin, within)
            self.end_input()
        except Cut:
            pass  # its output says why it stopped listening
        out, err = self._drain(deadline)
        self._raise_if_failed(err, deadline)
        return bytes(self._read) + out

    def last_words(self, within: float = 5.0) -> RunnerError:
        """Why it stopped talking, as an error to raise."""
        try:
            _, err = self._drain(time.monotonic() + within)
            self._raise_if_failed(err, time.monotonic() + within)
        except Killed as error:
            return error
        except RunnerUnsure as error:
            return Unreachable(str(error))
        except RunnerError as error:
            return error
        return Cut(f"The command on {self.name} ended too early.")

    def _receive(self, within: float, most: int = CHUNK, told: float | None = None) -> bytes:
        self.channel.settimeout(within)
        try:
            part = self.channel.recv(min(most, CHUNK))
        except TimeoutError:
            shown = within if told is None else told
            raise RunnerUnsure(f"{self.name} gave no whole answer for {shown:.0f} s.") from None
        except LOST as error:
            raise Cut(f"{self.name} stopped talking ({error}).") from error
        if not part:
            raise Cut(f"{self.name} stopped talking.")
        return part

    def _drain(self, deadline: float) -> tuple[bytes, bytes]:
        """Read both streams to their ends: an unread stream would block the other."""
        out, err, channel = bytearray(), bytearray(), self.channel
        poll = select.poll()  # select() fails in a process with many open files
        poll.register(channel, select.POLLIN)
        while not (channel.eof_received or channel.closed) or _ready(channel):
            left = deadline - time.monotonic()
            if left <= 0:
                raise RunnerUnsure(f"{self.name} gave no answer in time.")
            poll.poll(min(left, 0.5) * 1000)
            if len(out) > MOST_ANSWER:
                raise RunnerError(f"{self.name} answers with more than any answer has.")
            with suppress(*LOST):  # the channel is closed: no more output will come
                if channel.recv_ready():
                    out += channel.recv(CHUNK)
                if channel.recv_stderr_ready():
                    err += channel.recv_stderr(CHUNK)
                    del err[:-MOST_LAST_WORDS]
        return bytes(out), bytes(err)

    def _raise_if_failed(self, err: bytes, deadline: float) -> None:
        if not self.channel.status_event.wait(max(deadline - time.monotonic(), 0.1)):
            raise RunnerUnsure(f"{self.name} did not say how its command ended.")
        code = self.channel.exit_status
        if code == 0:
            return
        lines = err.decode(errors="replace").strip().splitlines()
        if code == -1:
            self._raise_for_no_code()
        if code > KILLED:  # as a shell tells it, or a script that stands for the Python
            raise self._killed()
        raise Ended(code, lines[-1] if lines else "")

    def _raise_for_no_code(self) -> None:
        if self.channel.get_transport().is_active():
            raise self._killed()
        raise RunnerUnsure(f"The connection to {self.name} was cut before the answer came.")

    def _killed(self) -> Killed:
        return Killed(f"The command was killed on {self.name}. Is its memory full?")


def _ready(channel: paramiko.Channel) -> bool:
    return channel.recv_ready() or channel.recv_stderr_ready()
