"""``python -m tests.chaos.chains --kills 20 --seed 7 [--patient]``: by hand, with real jobs. It has
a home, a database and an sshd of its own, and leaves nothing behind.
"""

import argparse
import getpass
import random
import shutil
import sys
import time

from tests.chaos.by_hand import prepared, say


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.chains", description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 31))
    parser.add_argument("--patient", action="store_true", help="shorten no wait of the platform's")
    arguments = parser.parse_args()
    folder = prepared("python/python")
    from tests import factories, processes
    from tests.chaos.chains.ground import launcher, make_ground
    from tests.chaos.chains.ordeal import ChainOrdeal
    from tests.chaos.yard import Yard
    from tests.sshd import Account, Sshd

    user, began = factories.make_user("ada", is_superuser=True), time.monotonic()
    say(f"seed {arguments.seed}, {arguments.kills} kills, in {folder}")
    python = launcher(folder / "python")
    yard = Yard(folder / "home", processes.environment(folder / "home"))
    yard.env |= {"TRAINYARD_STOP_GRACE": "1", "TRAINYARD_PATHS": str(folder)}
    with Sshd(Account(getpass.getuser(), "")) as sshd:
        try:
            ground = make_ground(user, sshd, python, folder)
            faults = ChainOrdeal(
                yard, ground, arguments.seed, arguments.kills, say, arguments.patient
            ).run()
        finally:
            yard.end()
    say("\n".join(faults) or "No fault.")
    say(f"{time.monotonic() - began:.0f} s. Seed {arguments.seed}.")
    if not faults:
        shutil.rmtree(folder)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
