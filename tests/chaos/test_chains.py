"""A chain of real jobs on two machines while its web, workers, watcher and machines are killed; see
``python -m tests.chaos.chains``."""

import getpass
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from pytest_django import Settings

from compute.runners.ssh.connection import close_all
from tests import processes
from tests.chaos.chains.ground import launcher, make_ground
from tests.chaos.chains.ordeal import TURNS, ChainOrdeal
from tests.chaos.yard import Yard
from tests.sshd import Account, Sshd

SEED = int(os.environ.get("CHAIN_SEED", "1"))
KILLS = int(os.environ.get("CHAIN_KILLS", str(len(TURNS))))

pytestmark = [
    pytest.mark.chaos,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("queue"),
]


@pytest.fixture
def python(settings: Settings, tmp_path: Path) -> Path:
    """This machine's Python."""
    made = launcher(tmp_path / "python")
    settings.TRAINYARD_TRAIN_PYTHON = made
    return made


@pytest.fixture
def real_sshd() -> Iterator[Sshd]:
    """As the user of the tests, who has the training environment."""
    with Sshd(Account(getpass.getuser(), "")) as server:
        yield server
        close_all()


def test_a_chain_goes_on_from_where_it_was_and_does_no_step_twice(
    user: User, python: Path, real_sshd: Sshd, home: Path
) -> None:
    print(f"CHAIN_SEED={SEED}")
    ground = make_ground(user, real_sshd, python, home)
    yard = Yard(home, processes.environment(home, TRAINYARD_STOP_GRACE="1"))
    try:
        ordeal = ChainOrdeal(yard, ground, SEED, KILLS)
        found = ordeal.run()
        assert not found, "\n".join(found)
        assert ordeal.killed.total() == KILLS
    finally:
        yard.end()
