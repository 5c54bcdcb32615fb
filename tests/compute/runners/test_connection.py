"""Logging in to a real sshd, and to servers that are none: what is wrong is said, in time."""

import os
import re
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import paramiko
import pytest

from compute.runners.base import HostKeyRefused, LoginRefused, RunnerError, Unreachable
from compute.runners.ssh import connection as connections
from compute.runners.ssh.address import Address, Login
from compute.runners.ssh.connection import Connection, close_all, connection_to
from compute.runners.ssh.dial import open_socket
from compute.runners.ssh.hostkeys import scan
from compute.runners.ssh.login import log_in
from compute.runners.ssh.trust import fingerprint
from tests.compute.runners.conftest import Place
from tests.fakes import fake_servers
from tests.fakes.fake_servers import fake_server
from tests.sshd import Account, Sshd, make_key
from tests.waiting import eventually

USER = Login("ada", password="s3cret")
as_root = pytest.mark.skipif(os.getuid() != 0, reason="passwords need an account made by root")


@pytest.fixture(autouse=True)
def no_connection_left() -> Iterator[None]:
    yield
    close_all()


def home_of(address: Address) -> str:
    return Connection(address).home()


def quick_scan(address: Address) -> object:
    return scan(address, within=0.5)


def test_a_key(sshd: Sshd) -> None:
    assert home_of(sshd.address()) == str(sshd.account.home)


@as_root
def test_a_password(sshd: Sshd, far_account: Account) -> None:
    login = Login(far_account.name, password=far_account.password)
    assert home_of(replace(sshd.address(), login=login)) == str(far_account.home)


@as_root
def test_a_key_that_is_not_let_in_and_then_a_password(
    sshd: Sshd, far_account: Account, tmp_path: Path
) -> None:
    login = Login(far_account.name, far_account.password, make_key(tmp_path / "key"))
    assert home_of(replace(sshd.address(), login=login)) == str(far_account.home)


@pytest.mark.parametrize("kind", ["rsa", "ecdsa", "ed25519"])
def test_every_kind_of_key_logs_in(sshd: Sshd, tmp_path: Path, kind: str) -> None:
    key = make_key(tmp_path / "key", kind, "passphrase")
    sshd.allow((tmp_path / "key.pub").read_text())
    login = Login(sshd.account.name, private_key=key, passphrase="passphrase")
    assert home_of(replace(sshd.address(), login=login)) == str(sshd.account.home)


@pytest.mark.parametrize(
    ("login", "words"),
    [
        (Login("ada", password="wrong s3cret"), "does not let ada in with this password. Check"),
        (Login("", password="x"), "There is no user to log in"),
        (Login("ada"), "neither a password nor a private key for ada"),
        (Login("ada", private_key="ssh-ed25519 AAAA"), "cannot be used. This is the public half"),
    ],
)
def test_a_login_that_fails(sshd: Sshd, login: Login, words: str) -> None:
    with pytest.raises(LoginRefused, match=re.escape(words)) as caught:
        home_of(replace(sshd.address(), login=login))
    assert "s3cret" not in str(caught.value)


def test_a_key_that_nobody_allowed(sshd: Sshd, tmp_path: Path) -> None:
    login = Login(sshd.account.name, private_key=make_key(tmp_path / "key"))
    with pytest.raises(LoginRefused, match=r"with this key\. Is its public half in"):
        home_of(replace(sshd.address(), login=login))


def test_keys_of_this_machine_are_not_tried(
    sshd: Sshd, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = tmp_path / ".ssh"
    folder.mkdir()
    (folder / "id_ed25519").write_text(sshd.login().private_key)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(LoginRefused):
        home_of(replace(sshd.address(), login=Login(sshd.account.name, password="wrong")))


def test_no_secret_is_shown() -> None:
    address = Address("h", Login("ada", "s3cret 1", "s3cret 2", "s3cret 3"), jump=None)
    assert "s3cret" not in repr(address)
    assert "s3cret" not in repr(Connection(address))


def test_a_host_key_that_nobody_confirmed(sshd: Sshd) -> None:
    with pytest.raises(HostKeyRefused, match="was not confirmed yet") as caught:
        home_of(replace(sshd.address(), host_key=""))
    assert sshd.fingerprint() in str(caught.value)


def test_scan_shows_what_ssh_keygen_shows(sshd: Sshd) -> None:
    shown = scan(replace(sshd.address(), host_key="", login=Login("nobody")))
    assert shown.text == sshd.host_key()
    assert shown.fingerprint == sshd.fingerprint()


def test_a_changed_host_key_is_refused_and_both_are_shown(own_sshd: Sshd) -> None:
    address, before = own_sshd.address(), own_sshd.fingerprint()
    assert home_of(address)
    own_sshd.stop()
    own_sshd.new_host_key()
    own_sshd.start()
    with pytest.raises(HostKeyRefused, match="changed") as caught:
        home_of(address)
    assert before in str(caught.value)
    assert own_sshd.fingerprint() in str(caught.value)
    assert "someone stands in between" in str(caught.value)
    assert before != own_sshd.fingerprint()


def test_a_password_is_not_sent_to_a_changed_host(
    own_sshd: Sshd, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = replace(own_sshd.address(), login=USER)
    own_sshd.stop()
    own_sshd.new_host_key()
    own_sshd.start()
    asked: list[object] = []
    monkeypatch.setattr(paramiko.Transport, "auth_password", lambda *args: asked.append(args))
    with pytest.raises(HostKeyRefused):
        home_of(address)
    assert asked == []


def test_a_server_with_several_keys_is_asked_for_the_confirmed_one(far_account: Account) -> None:
    with Sshd(far_account, ("rsa", "ecdsa", "ed25519")) as server:
        for kind in ("rsa", "ecdsa", "ed25519"):
            assert home_of(server.address(kind)) == str(far_account.home)


def test_a_server_that_lost_the_confirmed_kind_of_key_has_changed(
    far_account: Account, tmp_path: Path
) -> None:
    make_key(tmp_path / "old", "ecdsa")
    old = (tmp_path / "old.pub").read_text()
    with Sshd(far_account) as server:
        with pytest.raises(HostKeyRefused, match="changed") as caught:
            home_of(replace(server.address(), host_key=old))
        assert server.fingerprint() in str(caught.value)
    assert fingerprint(old.split()[1]) in str(caught.value)


def test_a_kept_host_key_that_is_damaged(sshd: Sshd) -> None:
    with pytest.raises(HostKeyRefused, match=r"cannot be read\. Confirm its key again"):
        home_of(replace(sshd.address(), host_key="ssh-ed25519 !"))


@pytest.mark.parametrize(
    ("behave", "words"),
    [
        (fake_servers.silent, "takes the connection and then says nothing"),
        (fake_servers.big_banner, "sent 64 KiB without a greeting of SSH"),
        (fake_servers.big_banner_in_lines, "sent 64 KiB without a greeting of SSH"),
        (fake_servers.not_ssh, "is not SSH: it said “220 mail.example ESMTP  [31mready”"),
        (fake_servers.greets_only, "greets as SSH does and then says nothing"),
        (fake_servers.hangs_up, "closed the connection at once"),
    ],
)
@pytest.mark.parametrize("ask", [quick_scan, home_of])
def test_a_server_that_is_no_ssh_server(
    behave: Callable[[socket.socket], None],
    words: str,
    ask: Callable[[Address], object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connections, "CONNECT_WITHIN", 0.5)
    with fake_server(behave) as port:
        began = time.monotonic()
        with pytest.raises(Unreachable, match=re.escape(words)):
            ask(Address("127.0.0.1", USER, port))
        assert time.monotonic() - began < 5


def test_a_refused_connection() -> None:
    with fake_server(fake_servers.silent) as port:
        pass
    with pytest.raises(Unreachable, match=rf"refuses connections at port {port}\. Is its SSH"):
        home_of(Address("127.0.0.1", USER, port))


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a" * 300, "a b", "x\n"])
def test_a_host_that_is_not_known(host: str) -> None:
    with pytest.raises(Unreachable):
        home_of(Address(host, USER))


def test_through_a_jump_host(sshd: Sshd, own_sshd: Sshd) -> None:
    address = sshd.address(jump=own_sshd.address())
    assert home_of(address) == str(sshd.account.home)
    assert scan(replace(address, host_key="")).fingerprint == sshd.fingerprint()


def test_a_jump_host_must_be_confirmed_as_well(sshd: Sshd, own_sshd: Sshd) -> None:
    jump = replace(own_sshd.address(), host_key="")
    with pytest.raises(HostKeyRefused, match=f"host key of 127.0.0.1:{own_sshd.port}"):
        home_of(sshd.address(jump=jump))


def test_what_a_jump_host_does_not_reach(sshd: Sshd) -> None:
    with fake_server(fake_servers.silent) as port:
        pass
    address = Address("127.0.0.1", USER, port, jump=sshd.address())
    with pytest.raises(Unreachable, match=f"cannot reach 127.0.0.1:{port}"):
        scan(address)


def test_one_connection_an_address(sshd: Sshd) -> None:
    assert connection_to(sshd.address()) is connection_to(sshd.address())
    first = connection_to(sshd.address()).transport()
    assert connection_to(sshd.address()).transport() is first


def test_a_dead_host_is_not_hammered(own_sshd: Sshd, monkeypatch: pytest.MonkeyPatch) -> None:
    own_sshd.stop()
    tries: list[Address] = []

    def count(address: Address, within: float) -> socket.socket:
        tries.append(address)
        return open_socket(address, within)

    monkeypatch.setattr(connections, "open_socket", count)
    monkeypatch.setattr(connections, "FIRST_PAUSE", 60)
    connection = connection_to(own_sshd.address())
    with pytest.raises(Unreachable, match="refuses connections") as first:
        connection.home()
    for _ in range(5):
        with pytest.raises(Unreachable, match=r"since 20\d\d-.* UTC; the next try is in") as again:
            connection.home()
        assert again.value.since == first.value.since
    assert len(tries) == 1
    connection.retry_now()
    own_sshd.start()
    assert connection.home()
    assert len(tries) == 2


def test_a_login_that_is_refused_is_not_tried_for_ever(
    own_sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine that counts failed logins would shut this one out."""
    monkeypatch.setattr(connections, "FIRST_PAUSE", 0.0)
    tries: list[Address] = []

    def count(line: paramiko.Transport, at: Address) -> None:
        tries.append(at)
        log_in(line, at)

    monkeypatch.setattr(connections, "log_in", count)
    key = make_key(tmp_path / "key")
    address = replace(own_sshd.address(), login=Login(own_sshd.account.name, private_key=key))
    connection = connection_to(address)
    for _ in range(8):
        with pytest.raises(LoginRefused) as caught:
            connection.home()
    assert len(tries) == 3
    assert caught.value.waits_for_user
    assert "a login is tried every 15 minutes only" in str(caught.value)
    own_sshd.allow((tmp_path / "key.pub").read_text())
    with pytest.raises(LoginRefused):
        connection.home()
    connection.retry_now()  # as the check does
    assert connection.home()


def test_a_machine_that_refused_for_a_while_is_found_again(
    own_sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one does that comes up again and has no homes yet; nobody needs to look."""
    monkeypatch.setattr(connections, "FIRST_PAUSE", 0.0)
    monkeypatch.setattr(connections, "REFUSED_PAUSE", 0.0)
    key = make_key(tmp_path / "key")
    address = replace(own_sshd.address(), login=Login(own_sshd.account.name, private_key=key))
    for _ in range(5):
        with pytest.raises(LoginRefused):
            connection_to(address).home()
    own_sshd.allow((tmp_path / "key.pub").read_text())
    assert connection_to(address).home()


def test_what_is_dropped_is_ended_with_its_jump_host(sshd: Sshd) -> None:
    jump = sshd.address()
    behind, other = (replace(sshd.address(), jump=jump, host=h) for h in ("127.0.0.1", "localhost"))
    lines = {one: connection_to(one) for one in (jump, behind, other)}
    transport = lines[behind].transport()
    lines[other].transport()
    connections.drop(behind, {behind})  # somebody else's machine is the same
    assert transport.is_active()
    connections.drop(behind)
    assert not transport.is_active()
    assert connection_to(behind) is not lines[behind]
    assert connection_to(jump) is lines[jump]  # the other one is behind it
    connections.drop(behind)
    connections.drop(other)
    assert lines[jump]._transport is None
    assert not connections._all


def test_the_back_off_grows_and_ends(own_sshd: Sshd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "FIRST_PAUSE", 0.01)
    own_sshd.stop()
    connection = connection_to(own_sshd.address())
    for _ in range(3):
        with pytest.raises(Unreachable):
            connection.home()
        connection.retry_now()
    own_sshd.start()
    assert eventually(lambda: answers(connection))


def answers(connection: Connection) -> bool:
    try:
        return bool(connection.home())
    except Unreachable:
        return False


def test_a_forked_process_gets_connections_of_its_own(sshd: Sshd) -> None:
    ours = connection_to(sshd.address())
    assert ours.home()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        other = connection_to(sshd.address())
        os.write(writer, b"own" if other is not ours and other.home() else b"shared")
        os._exit(0)
    os.close(writer)
    assert os.read(reader, 100) == b"own"
    os.waitpid(child, 0)
    os.close(reader)
    assert ours.run(["echo", "still there"]) == b"still there\n"


def test_run_hands_over_the_very_arguments(sshd: Sshd) -> None:
    arguments = ["$(touch pwned)", "a'b", "", "x\ny", "größe"]
    wrote = connection_to(sshd.address()).run(["printf", "%s|", *arguments])
    assert wrote.decode() == "$(touch pwned)|a'b||x\ny|größe|"


def test_run_tells_the_last_words_of_what_failed(sshd: Sshd) -> None:
    connection = connection_to(sshd.address())
    with pytest.raises(RunnerError, match=r"^last words$"):
        connection.run(["sh"], b"echo first >&2; echo last words >&2; exit 3")
    with pytest.raises(RunnerError, match="ended with 3"):
        connection.run(["sh"], b"exit 3")


def test_much_of_both_streams_does_not_block(sshd: Sshd) -> None:
    program = b"import sys\nsys.stderr.write('e' * 5_000_000)\nprint('o' * 5_000_000)"
    wrote = connection_to(sshd.address()).run(["/usr/bin/python3", "-"], program)
    assert len(wrote) == 5_000_001


def test_a_shell_that_talks_when_it_starts_does_no_harm(far: Place) -> None:
    talking = far.python(f'echo "Welcome to the cluster!"; exec {far.trainer.python} "$@"')
    runner = far.runner(python=talking)
    assert runner.lacking(["json", "no_such_package"]) == {"no_such_package"}
    assert runner.read(str(far.workdir / "none"), 0, 1) == b""
