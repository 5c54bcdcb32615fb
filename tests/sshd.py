"""A real sshd on the loopback address, and the ordinary user that it accepts.

As root, the user is an account made for the tests, kept between runs; otherwise it is the user who
runs the tests, who then has no password here. All files of the remote side lie in a folder that
this user can read; the user sees neither the checkout nor the platform's Python.
"""

import fcntl
import getpass
import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import psutil

from compute.runners.ssh.address import Address, Login
from tests.fakes import HERE, NODE, FakeTrainer
from tests.waiting import eventually

SSHD = shutil.which("sshd") or "/usr/sbin/sshd"
PYTHON = "/usr/bin/python3"
ACCOUNT = "trainyard-test"
PASSWORD_FILE = Path("/run/trainyard-test-password")  # only root reads it; parallel tests share it
CONFIG = """
Port {port}
ListenAddress 127.0.0.1
{keys}
AuthorizedKeysFile {folder}/authorized_keys
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication yes
KbdInteractiveAuthentication no
MaxStartups 100
"""
SFTP = "Subsystem sftp internal-sftp\n"


@dataclass(frozen=True)
class Account:
    """A user who can log in; ``password`` is empty if it is unknown."""

    name: str
    password: str = field(repr=False)

    @property
    def home(self) -> Path:
        return Path(pwd.getpwnam(self.name).pw_dir)

    def owns(self, path: Path) -> Path:
        """Give the account a file, or a folder with all its contents."""
        if os.getuid() == 0:
            for each in (path, *path.rglob("*")):
                shutil.chown(each, self.name)
        return path

    def folder(self, parent: Path | None = None) -> Path:
        """Make a new folder of the account."""
        return self.owns(Path(tempfile.mkdtemp(prefix="trainyard-far-", dir=parent)))


def account() -> Account:
    if os.getuid() != 0:
        return Account(getpass.getuser(), "")
    with PASSWORD_FILE.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests side by side make one account
        return made_account()


def made_account() -> Account:
    if not PASSWORD_FILE.exists():
        PASSWORD_FILE.touch(0o600)
        PASSWORD_FILE.write_text(secrets.token_urlsafe())
    password = PASSWORD_FILE.read_text()
    asked = ["openssl", "passwd", "-6", "-stdin"]
    hashed = subprocess.run(asked, input=password, capture_output=True, text=True, check=True)
    make = ["useradd", "--create-home", "--shell", "/bin/bash", ACCOUNT]
    if subprocess.run(make, capture_output=True, check=False).returncode not in (0, 9):
        raise RuntimeError(f"the account {ACCOUNT} could not be made")
    subprocess.run(["usermod", "--password", hashed.stdout.strip(), ACCOUNT], check=True)
    return Account(ACCOUNT, password)


def far_trainer(of: Account, folder: Path) -> FakeTrainer:
    """A remote ``Machine.python``: the node's commands are real, the trainer is a fake."""
    shutil.copytree(NODE, folder / "node", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(HERE / "fake_trainer.py", folder)
    made = FakeTrainer(folder, PYTHON, folder / "node", folder / "fake_trainer.py")
    of.owns(folder)
    return made


class Sshd:
    """One server with its own host keys. Call ``stop``, or leave its ``with`` block."""

    def __init__(
        self, of: Account, kinds: tuple[str, ...] = ("ed25519",), *, has_sftp: bool = True
    ) -> None:
        self.account = of
        self.folder = Path(tempfile.mkdtemp(prefix="trainyard-sshd-"))
        self.folder.chmod(0o755)  # a process of the account itself reads the authorized keys
        self.port = free_port()
        self.kinds, self.has_sftp = kinds, has_sftp
        self._process: subprocess.Popen[bytes] | None = None
        for kind in kinds:
            self.new_host_key(kind)
        make_key(self.folder / "login")
        self.allow((self.folder / "login.pub").read_text())

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self.folder)

    def start(self) -> None:
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        values = {"port": self.port, "folder": self.folder, "keys": self._key_lines()}
        more = SFTP if self.has_sftp else ""
        (self.folder / "config").write_text(CONFIG.format(**values) + more)
        log = (self.folder / "log").open("ab")
        self._process = subprocess.Popen(
            self.argv(), stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
        log.close()
        eventually(self._answers, what=f"an sshd: {(self.folder / 'log').read_text()}")

    def argv(self) -> list[str]:
        return [SSHD, "-D", "-e", "-f", str(self.folder / "config")]

    def stop(self) -> None:
        """End the server and all its sessions."""
        if self._process:
            sessions = self._sessions()
            self._process.kill()
            self._process.wait()
            self._process = None
            end(sessions)

    def cut(self) -> None:
        """End all sessions; the server goes on listening."""
        end(self._sessions())

    def allow(self, public_key: str) -> None:
        with (self.folder / "authorized_keys").open("a") as file:
            file.write(public_key + "\n")

    def new_host_key(self, kind: str = "ed25519") -> None:
        for path in self.folder.glob(f"host_{kind}*"):
            path.unlink()
        make_key(self.folder / f"host_{kind}", kind)

    def host_key(self, kind: str = "ed25519") -> str:
        """The host key in the form that a user confirms."""
        return " ".join((self.folder / f"host_{kind}.pub").read_text().split()[:2])

    def fingerprint(self, kind: str = "ed25519") -> str:
        """The fingerprint in the form that ssh-keygen prints."""
        return fingerprint_of(self.folder / f"host_{kind}.pub")

    def login(self) -> Login:
        return Login(self.account.name, private_key=(self.folder / "login").read_text())

    def address(self, kind: str = "ed25519", jump: Address | None = None) -> Address:
        return Address("127.0.0.1", self.login(), self.port, self.host_key(kind), jump)

    def _key_lines(self) -> str:
        return "\n".join(f"HostKey {self.folder}/host_{kind}" for kind in self.kinds)

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1) as line:
                return line.recv(4) == b"SSH-"
        except OSError:
            return False

    def _sessions(self) -> list[psutil.Process]:
        """The sshd processes of sessions, without the processes that they started."""
        assert self._process
        below = psutil.Process(self._process.pid).children(recursive=True)
        return [process for process in below if is_sshd(process)]


def is_sshd(process: psutil.Process) -> bool:
    try:
        return "sshd" in process.name()
    except psutil.NoSuchProcess:
        return False


def make_key(path: Path, kind: str = "ed25519", passphrase: str = "", form: str = "") -> str:
    """Make a key pair, at ``path`` and ``.pub``; return the private key. ``form``: PEM or PKCS8."""
    argv = ["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-C", "a test", "-f", str(path)]
    argv += ["-m", form] if form else []
    argv += ["-b", "2048"] if kind == "rsa" else []  # faster than the default size
    subprocess.run(argv, check=True)
    return path.read_text()


def fingerprint_of(path: Path) -> str:
    done = subprocess.run(
        ["ssh-keygen", "-lf", str(path)], capture_output=True, text=True, check=True
    )
    return done.stdout.split()[1]


def free_port() -> int:
    with socket.socket() as line:
        line.bind(("127.0.0.1", 0))
        return int(line.getsockname()[1])


def end(processes: list[psutil.Process]) -> None:
    for process in processes:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    eventually(lambda: not any(map(lives, processes)), what="the end of what was killed")


def lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
