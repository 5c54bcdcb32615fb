"""``python -m tests.chaos --kills 300 --seed 7 [--kinds local,ssh] [--patient]``: by hand, for as
long as you like. It has a home, a database and an sshd of its own, and leaves nothing behind.
"""

import argparse
import random
import shutil
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from tests.chaos.by_hand import prepared, say

if TYPE_CHECKING:
    from tests.chaos.stories import Ground


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 31))
    parser.add_argument("--kinds", default="local,ssh", help="where the runs train")
    parser.add_argument("--patient", action="store_true", help="shorten no wait of the platform's")
    arguments = parser.parse_args()
    folder = prepared("fake/fake_trainer_python")
    return ordeal(folder, arguments)


def ordeal(folder: Path, arguments: argparse.Namespace) -> int:
    from tests import factories, processes
    from tests.chaos.ordeal import Ordeal
    from tests.chaos.yard import Yard

    user, began = factories.make_user("ada", is_superuser=True), time.monotonic()
    print(f"seed {arguments.seed}, {arguments.kills} kills, in {folder}", flush=True)
    with ExitStack() as stack:
        grounds = grounds_of(folder, arguments.kinds.split(","), stack)
        yard = Yard(folder / "home", processes.environment(folder / "home"))
        yard.env["TRAINYARD_STOP_GRACE"] = "1"
        stack.callback(yard.end)
        made = Ordeal(yard, grounds, user, arguments.seed, arguments.kills, say, arguments.patient)
        faults = made.run()
    print("\n".join(faults) or "No fault.")
    print(f"{time.monotonic() - began:.0f} s. Seed {arguments.seed}.")
    if not faults:
        shutil.rmtree(folder)
    return 1 if faults else 0


def grounds_of(folder: Path, kinds: list[str], stack: ExitStack) -> "list[Ground]":
    from compute.machines.local import local_machine
    from tests import factories
    from tests.chaos.stories import GPUS, Ground, make_ssh_ground
    from tests.compute.runners.conftest import far_place
    from tests.fakes import FakeTrainer
    from tests.sshd import Sshd, account

    data, found = factories.write_sft_rows(folder / "rows.parquet", 64), list[Ground]()
    if "local" in kinds:
        machine = local_machine()
        machine.gpus = GPUS
        machine.save()
        model = str(factories.make_model_folder(folder / "model"))
        found.append(Ground(machine, FakeTrainer(folder / "fake"), data, model))
    if "ssh" in kinds:
        far = account()
        far_folder = far.folder()
        stack.callback(shutil.rmtree, far_folder, ignore_errors=True)
        server = stack.enter_context(Sshd(far))
        found.append(make_ssh_ground(far_place(far, far_folder, server), server, data))
    return found


if __name__ == "__main__":
    sys.exit(main())
