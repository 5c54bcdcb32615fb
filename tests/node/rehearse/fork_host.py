"""`fork_host.py`: say which file starts a fork, and serve until the input ends."""

import sys

from trainyard_node.rehearse.forks.begin import begin
from trainyard_node.rehearse.forks.server import Program


def main() -> int:
    forks = begin(("json.decoder",))
    if isinstance(forks, Program):
        return forks.run()
    sys.stdout.write(f"{forks.python}\n")
    sys.stdout.flush()
    sys.stdin.read()
    forks.end()
    return 0


if __name__ == "__main__":
    sys.exit(main())
