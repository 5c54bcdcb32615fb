"""The web server: Daphne with limits on what a stranger can make it keep.

``python -m platform_site.running.web`` takes Daphne's own arguments. Daphne keeps a whole body, in
a temporary file and then in memory, before the site sees the request. Here a request says first
what it brings: a body has up to 2 MiB, an upload more, for who is logged in. It is written once,
to the home, and handed over as a file, and so are the files in an upload. Who sends headers or a
body too slowly is cut off.
"""

import io
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from importlib import import_module
from typing import Any

import daphne.server
from daphne.cli import CommandLineInterface
from daphne.http_protocol import HTTPFactory, WebRequest
from django.conf import settings

from platform_site.bodies import BODY, Body
from platform_site.running.parts import Parts, boundary_of, remove_left_over

HEADERS_WITHIN = 60.0  # seconds, counted from the end of the answer before
SLOWEST = 1024.0  # bytes a second of a body
PATIENCE = 30.0  # seconds before a body is judged by that
UPLOADS = b"/datasets/"
IN_MEMORY = 64 * 1024


class Request(WebRequest):  # type: ignore[misc]
    """A request that refuses its body where that is too large."""

    is_whole = True  # there is no body under way

    def gotLength(self, length: int | None) -> None:
        """The headers are there; the body, of which chunks tell no length, is still to come."""
        self.received, self.began = 0, time.monotonic()
        self.is_refused = self.is_whole = False
        self.body = new_file()
        self.content = io.BytesIO()
        self.channel.factory.headers_are_there(self)
        self.most = self._most(length)
        self.parts = self._parts()
        if length is not None and length > self.most:
            self._refuse()

    def handleContentChunk(self, data: bytes) -> None:
        self.received += len(data)
        if self.received > self.most:
            self._refuse()
        if not self.is_refused:
            self._keep(partial(self.parts.feed if self.parts else self.body.write, data))

    def _keep(self, keep: Callable[[], object]) -> None:
        try:
            keep()
        except OSError as error:
            text = f"The upload could not be kept: {error.strerror}."
            self._refuse(HTTPStatus.INSUFFICIENT_STORAGE, text)
            return
        if self.parts and self.body.tell() > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
            self._refuse()  # so much that is no file

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """All of it is there. Without a content, nothing below reads the body."""
        self.channel.factory.body_is_there(self)
        if not self.is_refused and self.parts:
            self._keep(self.parts.end)
        if not self.is_refused:
            self.is_whole = True
            self.body.seek(0)
            super().requestReceived(command, path, version)

    def finish(self) -> None:
        channel = self.channel
        super().finish()
        if channel is not None:
            channel.factory.waits(channel)

    def connectionLost(self, reason: Any) -> None:
        self.channel.factory.body_is_there(self)
        if not self.is_whole:
            self._forget()
        super().connectionLost(reason)

    def is_slow(self, now: float) -> bool:
        took = now - self.began
        return took > PATIENCE and self.received < took * SLOWEST

    def _most(self, length: int | None) -> int:
        """How many bytes the body may have."""
        small: int = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        if length is not None and length <= small:
            return small
        is_upload = self.channel._command == b"POST" and self.channel._path.startswith(UPLOADS)
        key = self.received_cookies.get(settings.SESSION_COOKIE_NAME.encode(), b"")
        if not (is_upload and key):
            return small
        with ThreadPoolExecutor(1) as thread:  # the database may not be asked in an event loop
            logged_in = thread.submit(is_logged_in, key.decode("ascii", "replace")).result()
        return int(settings.TRAINYARD_LARGEST_UPLOAD) if logged_in else small

    def _parts(self) -> Parts | None:
        """What takes the body apart, if it is a large one with files."""
        boundary = boundary_of((self.getHeader(b"content-type") or b"").decode("latin-1"))
        is_upload = self.most > settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        return Parts(boundary, self.body.write) if is_upload and boundary else None

    def _forget(self) -> None:
        """Give up what arrived. A full disk fails again here: what is buffered is written first."""
        with suppress(OSError):
            self.body.close()
        if self.parts:
            self.parts.close()

    def _refuse(
        self, status: HTTPStatus = HTTPStatus.REQUEST_ENTITY_TOO_LARGE, why: str = ""
    ) -> None:
        if self.is_refused:
            return
        self.is_refused = True
        self._forget()
        self.channel.factory.body_is_there(self)
        why = why or f"A request may have {self.most} bytes, and an upload needs a login."
        text = f"{why}\n".encode()
        self.channel.transport.write(
            f"HTTP/1.1 {status.value} {status.phrase}\r\nConnection: close\r\n"
            f"Content-Type: text/plain\r\nContent-Length: {len(text)}\r\n\r\n".encode()
            + text
        )
        self.channel.transport.loseConnection()


def new_file() -> "tempfile.SpooledTemporaryFile[bytes]":
    """A file without a name in the home; what is small stays in memory."""
    folder = str(settings.FILE_UPLOAD_TEMP_DIR)
    return tempfile.SpooledTemporaryFile(IN_MEMORY, dir=folder)


def is_logged_in(key: str) -> bool:
    """Whether there is a session with this key in which somebody logged in."""
    from django.contrib.auth import SESSION_KEY
    from django.db import connections

    try:
        store = import_module(settings.SESSION_ENGINE).SessionStore(key)
        return SESSION_KEY in store.load()
    finally:
        connections.close_all()


class Factory(HTTPFactory):  # type: ignore[misc]
    """Knows the connections that owe us headers, since when, and the bodies under way."""

    def __init__(self, server: "Server") -> None:
        super().__init__(server)
        self.waiting: dict[Any, float] = {}
        self.bodies: set[Request] = set()

    def buildProtocol(self, addr: Any) -> Any:
        protocol = super().buildProtocol(addr)
        protocol.requestFactory = Request
        self.waits(protocol._channel)
        return protocol

    def waits(self, channel: Any) -> None:
        self.waiting[channel] = time.monotonic()

    def headers_are_there(self, request: Request) -> None:
        self.waiting.pop(request.channel, None)
        self.bodies.add(request)

    def body_is_there(self, request: Request) -> None:
        self.bodies.discard(request)

    def end_slow(self) -> None:
        now = time.monotonic()
        late = [each for each, since in self.waiting.items() if now - since > HEADERS_WITHIN]
        for channel in late:
            del self.waiting[channel]
            abort(channel)
        for request in [request for request in self.bodies if request.is_slow(now)]:
            self.bodies.discard(request)
            abort(request.channel)


def abort(channel: Any) -> None:
    transport = getattr(channel, "transport", None)
    if transport is not None:
        transport.abortConnection()


class Server(daphne.server.Server):  # type: ignore[misc]
    def run(self) -> None:
        remove_left_over()
        super().run()

    def create_application(self, protocol: Any, scope: dict[str, Any]) -> Any:
        if isinstance(protocol, Request):
            files = protocol.parts.files if protocol.parts else None
            scope[BODY] = Body(protocol.body, files)
        return super().create_application(protocol, scope)

    def timeout_checker(self) -> None:
        """Called every two seconds."""
        self.http_factory.end_slow()
        super().timeout_checker()


class Command(CommandLineInterface):  # type: ignore[misc]
    server_class = Server


daphne.server.HTTPFactory = Factory

if __name__ == "__main__":
    Command.entrypoint()
