"""Thirty kills while runs train here and behind a real sshd; see ``python -m tests.chaos``."""

import os
from pathlib import Path

import pytest
from django.contrib.auth.models import User

from compute.models import Machine
from tests import factories, processes
from tests.chaos.ordeal import Ordeal
from tests.chaos.stories import GPUS, Ground, make_ssh_ground
from tests.chaos.yard import Yard
from tests.compute.runners.conftest import far_place
from tests.fakes import FakeTrainer
from tests.sshd import Account, Sshd

SEED = int(os.environ.get("CHAOS_SEED", "1"))
KILLS = int(os.environ.get("CHAOS_KILLS", "30"))

pytestmark = [
    pytest.mark.chaos,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("queue"),
]


def test_killed_thirty_times_it_loses_and_doubles_nothing(
    user: User, machine: Machine, trainer: FakeTrainer, home: Path,
    far_account: Account, far_folder: Path, own_sshd: Sshd,
) -> None:  # fmt: skip
    print(f"CHAOS_SEED={SEED}")
    machine.gpus = GPUS
    machine.save()
    data = factories.write_sft_rows(home / "rows.parquet", 64)
    here = Ground(machine, trainer, data, str(factories.make_model_folder(home / "model")))
    far = make_ssh_ground(far_place(far_account, far_folder, own_sshd), own_sshd, data)
    yard = Yard(home, processes.environment(home, TRAINYARD_STOP_GRACE="1"))
    try:
        found = Ordeal(yard, [here, far], user, SEED, KILLS).run()
        assert not found, "\n".join(found)
    finally:
        yard.end()
