"""Refuse an upload that is too large before it is parsed."""

from typing import Any

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.core.files.uploadhandler import FileUploadHandler

from platform_site.counts import limit_text


class SizeGuard(FileUploadHandler):
    """Refuses a request whose declared length exceeds the limit; it handles no file itself."""

    def handle_raw_input(
        self, input_data: Any, META: Any, content_length: int, boundary: Any, encoding: Any = None
    ) -> None:
        if content_length > settings.TRAINYARD_LARGEST_UPLOAD:
            most = limit_text(settings.TRAINYARD_LARGEST_UPLOAD)
            raise RequestDataTooBig(f"An upload may have {most}: see TRAINYARD_LARGEST_UPLOAD.")

    def receive_data_chunk(self, raw_data: bytes, start: int) -> bytes:
        return raw_data

    def file_complete(self, file_size: int) -> None:
        return None
