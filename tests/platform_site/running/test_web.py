"""The web server keeps no body of a stranger, and waits for nobody for ever."""

import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from http.client import HTTPConnection

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client

from datasets.models import Source
from platform_site.home import instance_name
from platform_site.running import web
from tests import processes
from tests.platform_site.running.test_up import free_port, status
from tests.waiting import eventually

MIB = 1024 * 1024
# Seconds that a test need not wait for: the server's limits are set as it starts.
QUICK = "from platform_site.running import web; web.HEADERS_WITHIN = 0.5; web.PATIENCE = 0.5; "


@pytest.fixture(scope="module")
def port(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """One real server for all of these tests, over their database and a home of its own."""
    port, home = free_port(), tmp_path_factory.mktemp("home")
    argv = ["-v", "0", "-e", f"tcp:{port}:interface=127.0.0.1", "platform_site.asgi:application"]
    env = processes.environment(home, PYTHONPATH=str(processes.ROOT))
    process = subprocess.Popen(
        [sys.executable, "-c", QUICK + f"web.Command().run({argv!r})"], env=env, cwd=processes.ROOT
    )
    try:
        eventually(lambda: status(port) == 302, 60, "an answer from the web")
        yield port
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


@pytest.mark.django_db(transaction=True)
def test_a_login_uploads_more_but_only_where_uploads_go(port: int, user: User) -> None:
    browser = Client()
    browser.force_login(user)
    line = HTTPConnection("127.0.0.1", port, timeout=30)
    shown = f"{cookie_name()}={browser.session.session_key}"
    line.request("GET", "/datasets/new/", headers={"Cookie": shown})
    first = line.getresponse()
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', first.read().decode())
    assert token
    set_cookie = first.headers["Set-Cookie"].partition(";")[0]
    row = b'{"messages": [{"role": "user", "content": "' + b"x" * 3 * MIB + b'"}]}\n'
    parts = {"csrfmiddlewaretoken": token[1].encode(), "name": b"big", "kind": b"upload"}
    body = b"".join(
        b'--b\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n' % (key.encode(), value)
        for key, value in parts.items()
    )
    head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.jsonl"\r\n\r\n'
    body += head + row + b"\r\n--b--\r\n"
    headers = {
        "Cookie": f"{shown}; {set_cookie}",
        "Content-Type": "multipart/form-data; boundary=b",
        "Origin": f"http://127.0.0.1:{port}",
    }
    line.request("POST", "/datasets/new/", body, headers)
    made = line.getresponse()
    assert made.status == 302, made.read()[:2000]
    made.read()
    assert Source.objects.get().dataset.name == "big"
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
