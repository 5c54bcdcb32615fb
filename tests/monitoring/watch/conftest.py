"""Machines elsewhere with the real training environment: behind an sshd, and as a Ray cluster."""

import getpass
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.utils import timezone

from compute.models import Machine
from compute.runners.ssh import folders
from compute.runners.ssh.connection import close_all
from tests import factories
from tests.ray_cluster import PYTHON, RayCluster
from tests.sshd import Account, Sshd


@pytest.fixture
def behind_ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    """As the user of the tests, who has the training environment; the far account has none."""
    monkeypatch.setattr(folders, "MARGIN", 1 << 20)
    with Sshd(Account(getpass.getuser(), "")) as server:
        address = server.address()
        made = factories.make_ssh_machine(
            host=address.host, port=address.port, user=address.login.user,
            host_key=address.host_key, workdir=str(tmp_path / "work"), python=str(PYTHON),
        )  # fmt: skip
        key = address.login.private_key
        made.secrets.create(name="private_key", value=key, set_at=timezone.now())
        yield made
        close_all()


@pytest.fixture
def on_ray(cluster: RayCluster, tmp_path: Path) -> Machine:
    made = factories.make_machine(
        kind=Machine.Kind.RAY, ray_address=cluster.address, workdir=str(tmp_path / "work"),
        python=str(PYTHON), facts={"nodes": [{"name": "a", "cpus": 32, "gpus": 2}]},
    )  # fmt: skip
    made.secrets.create(name="password", value=cluster.token, set_at=timezone.now())
    return made
