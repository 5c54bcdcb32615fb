"""A fake network line: it passes bytes to a real server, and can be cut or counted."""

import socket
import threading
from contextlib import suppress


class FakeLine:
    """Listens at ``port``; ``sent`` counts the bytes that went through it to the server.

    ``cut_after`` cuts all connections after that many further bytes. ``hold`` stops bytes towards
    the client, as on a line that works only one way.
    """

    def __init__(self, to: int) -> None:
        self.to = to
        self.sent = 0
        self.cut_after: int | None = None
        self.hold = threading.Event()
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> "FakeLine":
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self.cut()

    def cut(self) -> None:
        """Cut all connections; new ones work again."""
        self.cut_after = None
        pairs, self._pairs = self._pairs, []  # a connection made meanwhile is not cut
        for pair in pairs:
            for line in pair:
                with suppress(OSError):
                    line.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._server.accept()
                self._pass_on(near)

    def _pass_on(self, near: socket.socket) -> None:
        try:
            far = socket.create_connection(("127.0.0.1", self.to))
        except OSError:
            near.close()
            return
        self._pairs.append((near, far))
        for source, target in ((near, far), (far, near)):
            threading.Thread(target=self._copy, args=(source, target), daemon=True).start()

    def _copy(self, source: socket.socket, target: socket.socket) -> None:
        towards_server = target.getpeername()[1] == self.to
        with suppress(OSError):
            while data := source.recv(65536):
                if towards_server:
                    self._count(data)
                elif self.hold.is_set():
                    continue
                target.sendall(data)
        for line in (source, target):
            with suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)

    def _count(self, data: bytes) -> None:
        self.sent += len(data)
        if self.cut_after is None:
            return
        self.cut_after -= len(data)
        if self.cut_after < 0:
            self.cut()
            raise OSError("cut")
