"""A fake Hugging Face hub on the loopback address, with the few answers that a download needs."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

REPO, COMMIT = "owner/sums", "0" * 40


class Hub(ThreadingHTTPServer):
    """The files of one data set."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.files = files

    def listing(self) -> bytes:
        rows = [
            {"type": "file", "path": name, "size": len(content), "oid": "1" * 40}
            for name, content in self.files.items()
        ]
        return json.dumps(rows).encode()

    def content(self, path: str) -> bytes | None:
        """The content of a path, or None."""
        if path == f"/api/datasets/{REPO}/tree/main":
            return self.listing()
        begin = f"/datasets/{REPO}/resolve/"
        return self.files.get(path.removeprefix(begin).partition("/")[2]) if begin in path else None


class Answers(BaseHTTPRequestHandler):
    server: Hub

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        if content := self.answer():
            self.wfile.write(content)

    def answer(self) -> bytes | None:
        content = self.server.content(self.path.partition("?")[0])
        self.send_response(404 if content is None else 200)
        kind = {"X-Error-Code": "RepoNotFound"} if content is None else {"ETag": '"etag"'}
        size = {"Content-Length": str(len(content or b"")), "X-Repo-Commit": COMMIT}
        for name, value in {**kind, **size}.items():
            self.send_header(name, value)
        self.end_headers()
        return content

    def log_message(self, *args: Any) -> None:
        pass


@contextmanager
def fake_hub(files: Mapping[str, bytes]) -> Iterator[str]:
    """Serve these files as one data set; yield the hub's address."""
    hub = Hub(files)
    threading.Thread(target=hub.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{hub.server_port}"
    finally:
        hub.shutdown()
        hub.server_close()
