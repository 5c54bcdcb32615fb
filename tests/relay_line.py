"""A line to a server that can be cut, and that can lose an answer."""

import contextlib
import socket
import threading


class Line:
    """Passes bytes both ways through a port of its own."""

    def __init__(self, port: int) -> None:
        self._to, self._open = port, True
        self._swallow: bytes | None = None
        self.swallowed = threading.Event()
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def swallow_answer_to(self, request: bytes) -> None:
        """Cut the next connection whose request begins with this, when its answer arrives."""
        self._swallow = request

    def cut(self) -> None:
        """Cut all connections, and refuse new ones."""
        self._open = False
        for pair in self._pairs:
            _close(*pair)

    def mend(self) -> None:
        self._open = True

    def end(self) -> None:
        self.cut()
        _close(self._listener)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                if not self._open:
                    _close(near)
                    continue
                far = socket.create_connection(("127.0.0.1", self._to))
                self._pairs.append((near, far))
                lost = threading.Event()
                for args in ((near, far, lost, True), (far, near, lost, False)):
                    threading.Thread(target=self._pass_on, args=args, daemon=True).start()

    def _pass_on(
        self, source: socket.socket, target: socket.socket, lost: threading.Event, asks: bool
    ) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                if asks and self._swallow is not None and data.startswith(self._swallow):
                    self._swallow = None
                    lost.set()
                elif not asks and lost.is_set():
                    self.swallowed.set()  # the server did it, but the client never learns of it
                    break
                target.sendall(data)
        _close(source, target)


def _close(*sockets: socket.socket) -> None:
    for one in sockets:
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
        one.close()
