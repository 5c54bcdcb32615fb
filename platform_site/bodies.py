"""Requests whose body the web server has written already: neither it nor its files are copied."""

from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import IO, Any

from django.core.files.uploadedfile import TemporaryUploadedFile, UploadedFile
from django.core.files.uploadhandler import FileUploadHandler, StopFutureHandlers
from django.core.handlers.asgi import ASGIHandler
from django.http.multipartparser import MultiPartParserError

BODY = "trainyard.body"  # in a request's scope


@dataclass(frozen=True)
class Body:
    """``content`` has in the place of each of its files the number of that in ``files``."""

    content: IO[bytes]
    files: Sequence[IO[bytes]] | None = None  # None: they stand in the content


given: ContextVar[Body | None] = ContextVar("given", default=None)


class PageHandler(ASGIHandler):
    async def handle(self, scope: Any, receive: Any, send: Any) -> None:
        body: Body | None = scope.pop(BODY, None)
        given.set(body)
        try:
            await super().handle(scope, receive, send)
        finally:
            for file in (body and body.files) or ():
                ArrivedFile(file).close()

    async def read_body(self, receive: Any) -> Any:
        """The body as a file. The server's one message about it holds nothing."""
        body = given.get()
        if body is None:
            return await super().read_body(receive)
        await receive()
        return body.content


class ArrivedFile(TemporaryUploadedFile):
    """A file of an upload that lies in the home since it arrived."""

    def __init__(self, file: IO[bytes], *facts: Any) -> None:
        UploadedFile.__init__(self, file, *facts)


class ArrivedFiles(FileUploadHandler):
    """Hands over the files that arrived, and leaves those in the content to the next handler."""

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        super().new_file(*args, **kwargs)
        body = given.get()
        self.files, self.number = body.files if body else None, b""
        if self.files is not None:
            raise StopFutureHandlers

    def receive_data_chunk(self, raw_data: bytes, start: int) -> bytes | None:
        if self.files is None:
            return raw_data
        self.number += raw_data
        return None

    def file_complete(self, file_size: int) -> ArrivedFile | None:
        if self.files is None:
            return None
        try:
            file = self.files[int(self.number)]
        except (ValueError, IndexError):
            raise MultiPartParserError("No file arrived for this part.") from None
        size = file.seek(0, 2)
        file.seek(0)
        return ArrivedFile(
            file, self.file_name, self.content_type, size, self.charset, self.content_type_extra
        )
