"""The web server keeps no body of a stranger, and waits for nobody for ever."""

import errno
import io
import re
import resource
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from pytest_django import Settings

from datasets.models import Source
from platform_site.home import instance_name
from platform_site.running import web
from platform_site.running.parts import Parts
from tests import processes
from tests.platform_site.running.test_up import free_port, status
from tests.waiting import eventually

MIB = 1024 * 1024
# Seconds that a test need not wait for: the server's limits are set as it starts.
QUICK = "from platform_site.running import web; web.HEADERS_WITHIN = 0.5; web.PATIENCE = 0.5; "


@dataclass(frozen=True)
class Server:
    port: int
    home: Path
    pid: int

    @property
    def uploads(self) -> list[Path]:
        return list((self.home / "uploads").iterdir())

    @property
    def written(self) -> int:
        """Bytes that it wrote to files and connections so far."""
        return int(re.findall(r"wchar: (\d+)", Path(f"/proc/{self.pid}/io").read_text())[0])


@pytest.fixture(scope="module")
def port(server: Server) -> int:
    return server.port


@pytest.fixture(scope="module")
def server(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One real server for all of these tests, over their database and a home of its own."""
    port, home = free_port(), tmp_path_factory.mktemp("home")
    argv = ["-v", "0", "-e", f"tcp:{port}:interface=127.0.0.1", "platform_site.asgi:application"]
    env = processes.environment(home, PYTHONPATH=str(processes.ROOT))
    process = subprocess.Popen(
        [sys.executable, "-c", QUICK + f"web.Command().run({argv!r})"], env=env, cwd=processes.ROOT
    )
    try:
        eventually(lambda: status(port) == 302, 60, "an answer from the web")
        yield Server(port, home, process.pid)
    finally:
        process.kill()
        process.wait()


def cookie_name() -> str:
    """As a server over the test's database names it."""
    return f"{instance_name(connection.settings_dict)}-session"


def answer(line: socket.socket) -> bytes:
    """What comes until the other side closes."""
    line.settimeout(20)
    found = b""
    try:
        while piece := line.recv(65536):
            found += piece
    except ConnectionResetError:
        pass
    return found


def opened(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), 10)


@pytest.mark.parametrize(
    "path", ["/", "/datasets/new/", "/accounts/login/", "/jobs/new/sample-sft/"]
)
def test_a_large_body_of_a_stranger_is_refused_by_its_length(port: int, path: str) -> None:
    with opened(port) as line:
        line.sendall(
            f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {300 * MIB}\r\n\r\n".encode()
        )
        assert answer(line).startswith(b"HTTP/1.1 413 ")


def test_a_body_that_tells_no_length_is_refused_by_its_bytes(port: int) -> None:
    with opened(port) as line:
        line.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        piece = b"10000\r\n" + b"x" * 65536 + b"\r\n"
        try:
            for _ in range(64):
                line.sendall(piece)
        except OSError:
            pass  # it was refused while we sent
        assert answer(line)[:13] in (b"HTTP/1.1 413 ", b"")
    assert status(port) == 302


@pytest.mark.django_db(transaction=True)
def test_a_session_that_is_none_opens_nothing(port: int) -> None:
    cookie = f"{cookie_name()}={'a' * 32}"
    with opened(port) as line:
        line.sendall(
            f"POST /datasets/new/ HTTP/1.1\r\nHost: x\r\nCookie: {cookie}\r\n"
            f"Content-Length: {3 * MIB}\r\n\r\n".encode()
        )
        assert answer(line).startswith(b"HTTP/1.1 413 ")


def rows(size: int) -> bytes:
    return b'{"messages": [{"role": "user", "content": "' + b"x" * size + b'"}]}\n'


def upload(port: int, user: User, content: bytes) -> tuple[bytes, dict[str, str]]:
    """Body and headers of a form with a file, sent by somebody who is logged in."""
    browser = Client()
    browser.force_login(user)
    line = HTTPConnection("127.0.0.1", port, timeout=30)
    shown = f"{cookie_name()}={browser.session.session_key}"
    line.request("GET", "/datasets/new/", headers={"Cookie": shown})
    first = line.getresponse()
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', first.read().decode())
    assert token
    set_cookie = first.headers["Set-Cookie"].partition(";")[0]
    parts = {"csrfmiddlewaretoken": token[1].encode(), "name": b"big", "kind": b"upload"}
    body = b"".join(
        b'--b\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n' % (key.encode(), value)
        for key, value in parts.items()
    )
    head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.jsonl"\r\n\r\n'
    body += head + content + b"\r\n--b--\r\n"
    return body, {
        "Cookie": f"{shown}; {set_cookie}",
        "Content-Type": "multipart/form-data; boundary=b",
        "Origin": f"http://127.0.0.1:{port}",
    }


def begun(port: int, body: bytes, headers: dict[str, str], sent: int) -> socket.socket:
    """An upload of which so many bytes are sent."""
    line = opened(port)
    named = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    line.sendall(
        f"POST /datasets/new/ HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{named}"
        f"Content-Length: {len(body)}\r\n\r\n".encode()
    )
    line.sendall(body[:sent])
    return line


@pytest.mark.django_db(transaction=True)
def test_the_file_of_an_upload_is_written_once_where_it_stays(server: Server, user: User) -> None:
    content = rows(8 * MIB)
    body, headers = upload(server.port, user, content)
    before = server.written
    with begun(server.port, body, headers, 4 * MIB) as line:
        [arriving] = eventually(lambda: server.uploads)
        file = arriving.stat().st_ino
        line.sendall(body[4 * MIB :])
        assert line.recv(12) == b"HTTP/1.1 302"
    kept = Path(Source.objects.get().path)
    assert (kept.stat().st_ino, kept.read_bytes() == content) == (file, True)
    assert server.uploads == []
    assert len(content) <= server.written - before < 1.1 * len(content)


@pytest.mark.django_db(transaction=True)
def test_an_upload_that_breaks_off_leaves_nothing(server: Server, user: User) -> None:
    body, headers = upload(server.port, user, rows(3 * MIB))
    with begun(server.port, body, headers, MIB):
        eventually(lambda: server.uploads)
    eventually(lambda: not server.uploads)


@pytest.mark.django_db(transaction=True)
def test_a_large_field_is_no_upload(server: Server, user: User) -> None:
    body, headers = upload(server.port, user, b"")
    large = body.replace(b"big", b"x" * 3 * MIB)
    with begun(server.port, large, headers, len(large)) as line:
        assert answer(line)[:13] in (b"HTTP/1.1 413 ", b"")
    assert server.uploads == []


@pytest.mark.django_db(transaction=True)
def test_a_login_uploads_more_but_only_where_uploads_go(port: int, user: User) -> None:
    body, headers = upload(port, user, rows(3 * MIB))
    line = HTTPConnection("127.0.0.1", port, timeout=30)
    line.request("POST", "/datasets/new/", body, headers)
    made = line.getresponse()
    assert made.status == 302, made.read()[:2000]
    assert Source.objects.get().dataset.name == "big"
    shown = headers["Cookie"].partition(";")[0]
    with opened(port) as other:
        other.sendall(
            f"POST /jobs/new/sample-sft/ HTTP/1.1\r\nHost: x\r\nCookie: {shown}\r\n"
            f"Content-Length: {3 * MIB}\r\n\r\n".encode()
        )
        assert answer(other).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize(
    "start",
    [b"", b"GET / HTT", b"GET / HTTP/1.1\r\nHost: x\r\nX: ",
     b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9999\r\n\r\nx"],
    ids=["nothing", "half a line", "half the headers", "half a body"],
)  # fmt: skip
def test_who_stops_half_way_is_cut_off(port: int, start: bytes) -> None:
    with opened(port) as line:
        line.sendall(start)
        assert answer(line) == b""
    assert status(port) == 302


def test_a_quick_request_after_another_is_answered(port: int) -> None:
    line = HTTPConnection("127.0.0.1", port, timeout=10)
    for _ in range(3):
        line.request("POST", "/accounts/login/", b"username=a&password=b")
        found = line.getresponse()
        assert (found.status, bool(found.read())) == (403, True)  # without the form's token


def test_a_slow_body_is_one_below_the_rate() -> None:
    request = web.Request.__new__(web.Request)
    request.began, request.received = 0.0, 40_000
    assert not request.is_slow(web.PATIENCE)
    assert not request.is_slow(web.PATIENCE + 1)
    assert request.is_slow(web.PATIENCE + 11)


def arriving(sent: list[bytes], parts: Parts | None = None) -> Any:
    """An upload under way, whose answer goes to ``sent``."""
    request: Any = web.Request.__new__(web.Request)
    request.body, request.parts, request.is_refused = io.BytesIO(), parts, False
    request.channel = SimpleNamespace(
        factory=SimpleNamespace(body_is_there=lambda request: None),
        transport=SimpleNamespace(write=sent.append, loseConnection=lambda: None),
    )
    request.received, request.most = 0, MIB
    return request


def test_a_full_disk_is_told() -> None:
    sent: list[bytes] = []
    request = arriving(sent)
    request.body.write = full
    request.handleContentChunk(b"x")
    assert sent[0].startswith(b"HTTP/1.1 507 Insufficient Storage")
    assert b"could not be kept: No space left" in sent[0]
    assert request.body.closed


def test_a_disk_that_is_full_at_the_close_too_is_told(settings: Settings, tmp_path: Path) -> None:
    uploads = tmp_path / "uploads"
    uploads.mkdir()
    settings.FILE_UPLOAD_TEMP_DIR = str(uploads)
    sent: list[bytes] = []
    parts = Parts(b"b", lambda data: None)
    request = arriving(sent, parts)
    head = b'--b\r\nContent-Disposition: form-data; name="%d"; filename="a"\r\n\r\n'
    with files_no_larger_than(4096):
        # The first file is still in memory, so that it fails when it is closed.
        request.handleContentChunk(head % 0 + b"x" * 5000 + b"\r\n" + head % 1)
        assert len(list(uploads.iterdir())) == 2
        request.handleContentChunk(b"x" * 9000)
    [answer] = sent
    assert answer.startswith(b"HTTP/1.1 507 Insufficient Storage")
    assert all(file.closed for file in parts.files)
    assert list(uploads.iterdir()) == []


def test_a_body_that_cannot_be_closed_is_told(tmp_path: Path) -> None:
    sent: list[bytes] = []
    request = arriving(sent)
    with files_no_larger_than(4096), (tmp_path / "body").open("wb") as request.body:
        for _ in range(4):  # what is small waits in memory, and fails again at the close
            request.handleContentChunk(b"x" * 5000)
        assert request.body.closed
    assert sent[0].startswith(b"HTTP/1.1 507 Insufficient Storage")


@contextmanager
def files_no_larger_than(size: int) -> Iterator[None]:
    """A disk with so little room, as far as this process can tell."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def full(data: object) -> int:
    raise OSError(errno.ENOSPC, "No space left on device")
