"""The places where a runner runs: this machine, and a far one behind a real sshd."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from compute.runners.base import Runner
from compute.runners.cluster.runner import RayRunner
from compute.runners.local.runner import LocalRunner
from compute.runners.ssh.connection import close_all
from compute.runners.ssh.runner import SshRunner
from tests.fakes import FakeTrainer
from tests.leftovers import ended_afterwards
from tests.ray_cluster import RayCluster
from tests.sshd import Account, Sshd, account, far_trainer


@dataclass(frozen=True)
class Place:
    """A machine as the tests see it: both kinds have their files on this disk."""

    kind: str
    workdir: Path
    trainer: FakeTrainer
    make: Callable[[str, str], Runner]
    own: Callable[[Path], Path]

    def runner(self, python: str = "", workdir: str = "") -> Runner:
        return self.make(python or self.trainer.python, workdir or str(self.workdir))

    def python(self, script: str) -> str:
        """A Python that is none, and does this instead."""
        path = self.trainer.folder / "no_python"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return str(path)

    def folder(self, name: str) -> Path:
        """A new folder in the work folder, as the machine's own user makes it."""
        path = self.workdir / name
        path.mkdir(parents=True)
        self.own(self.workdir)
        return path


# Each start, and each question to a node, takes seconds on a cluster: what is asked there as well.
everywhere = pytest.mark.parametrize("place", ["local", "ssh", "ray"], indirect=True)


@pytest.fixture(scope="session")
def far_account() -> Account:
    return account()


@pytest.fixture
def far_home(far_account: Account) -> Path:
    return far_account.home


@pytest.fixture(scope="session")
def sshd(far_account: Account) -> Iterator[Sshd]:
    """A server that the tests share; those that stop or cut one start their own."""
    with Sshd(far_account) as server:
        yield server
        close_all()


@pytest.fixture
def own_sshd(far_account: Account) -> Iterator[Sshd]:
    with Sshd(far_account) as server:
        yield server
        close_all()


@pytest.fixture
def far_folder(far_account: Account) -> Iterator[Path]:
    """A folder of the far user's; what runs there still is ended after the test, by its id."""
    folder = far_account.folder()
    with ended_afterwards(folder):
        yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def far(far_account: Account, far_folder: Path, sshd: Sshd) -> Place:
    return far_place(far_account, far_folder, sshd)


def far_place(of: Account, folder: Path, server: Sshd) -> Place:
    trainer = far_trainer(of, folder / "fake")
    workdir = folder / "work"
    workdir.mkdir()
    of.owns(workdir)

    def make(python: str, workdir: str) -> Runner:
        return SshRunner(server.address(), python, workdir)

    return Place("ssh", workdir, trainer, make, of.owns)


@pytest.fixture
def on_cluster(cluster: RayCluster, tmp_path: Path, home: Path, trainer: FakeTrainer) -> Place:
    """A folder of this machine, where the nodes of the cluster are."""
    workdir = tmp_path / "work"
    workdir.mkdir()

    def make(python: str, workdir: str) -> Runner:
        return RayRunner(cluster.address, cluster.token, python, workdir, home / "ray")

    return Place("ray", workdir, trainer, make, lambda path: path)


@pytest.fixture(params=["local", "ssh"])
def place(request: pytest.FixtureRequest, home: Path, trainer: FakeTrainer) -> Place:
    if request.param == "local":
        return Place("local", home, trainer, LocalRunner, lambda path: path)
    made: Place = request.getfixturevalue("far" if request.param == "ssh" else "on_cluster")
    return made


@pytest.fixture
def small_disk(far_account: Account) -> Iterator[Path]:
    """A disk of 4 MB that belongs to the far user; left out where none can be mounted."""
    folder = far_account.folder()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
    if os.getuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        folder.rmdir()
        pytest.skip("no small disk can be mounted here")
    far_account.owns(folder)
    yield folder
    close_all()  # a far process may still have a file open
    subprocess.run(["umount", "--lazy", str(folder)], check=True)
    folder.rmdir()
