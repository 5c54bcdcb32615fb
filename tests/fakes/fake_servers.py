"""Fake servers on the loopback address that are no SSH servers, each in its own way."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

MEGABYTE = b"All work and no play makes Jack a dull boy." * 25_000


def silent(line: socket.socket) -> None:
    """Accept a connection, and send nothing."""
    line.recv(1)


def big_banner(line: socket.socket) -> None:
    """Send a megabyte in one line, and never a greeting."""
    line.sendall(MEGABYTE)
    line.recv(1)


def big_banner_in_lines(line: socket.socket) -> None:
    line.sendall(MEGABYTE.replace(b".", b"\r\n"))
    line.recv(1)


def not_ssh(line: socket.socket) -> None:
    """Answer as a mail server."""
    line.sendall(b"220 mail.example ESMTP \x1b[31mready\r\n")
    line.recv(1)


def greets_only(line: socket.socket) -> None:
    """Greet as SSH does, then send nothing."""
    line.sendall(b"SSH-2.0-Fake\r\n")
    while line.recv(4096):
        pass


def hangs_up(line: socket.socket) -> None:
    """Close the connection at once."""


@contextmanager
def fake_server(behave: Callable[[socket.socket], None]) -> Iterator[int]:
    """The port of a server that calls ``behave`` for each connection, in its own thread."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        lines: list[socket.socket] = []
        threading.Thread(target=_serve, args=(server, behave, lines), daemon=True).start()
        try:
            yield int(server.getsockname()[1])
        finally:
            server.shutdown(socket.SHUT_RDWR)
            for line in lines:
                with suppress(OSError):
                    line.shutdown(socket.SHUT_RDWR)


def _serve(
    server: socket.socket, behave: Callable[[socket.socket], None], lines: list[socket.socket]
) -> None:
    with suppress(OSError):
        while True:
            line, _ = server.accept()
            lines.append(line)
            threading.Thread(target=_treat, args=(line, behave), daemon=True).start()


def _treat(line: socket.socket, behave: Callable[[socket.socket], None]) -> None:
    with suppress(OSError), line:
        behave(line)
