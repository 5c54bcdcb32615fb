"""Far side: become a command of ``trainyard_node``; before that, make a run's directory.

The secrets of a run come by standard input and go into the environment: they are on no command
line and in no file.
"""

import os
import sys
from typing import Any

from compute.runners.far.common import place, raw, take


def main() -> None:
    asked = take(sys.stdin.buffer)
    if asked is None:
        sys.exit("the request did not arrive whole; nothing was done")
    if "script" in asked:
        make_run(asked)
    for name, value in asked["env"].items():
        os.environb[raw(name)] = raw(value)
    # Python looks for modules in the folder where it starts: not in the user's home, then.
    os.chdir("/")
    argv = [asked["python"], "-m", f"trainyard_node.{asked['command']}", *asked["argv"]]
    os.execvp(argv[0], [raw(part) for part in argv])  # noqa: S606 (without a shell: that is meant)


def make_run(asked: Any) -> None:
    folder = place(asked["folder"])
    before = os.umask(0o077)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
        with (folder / asked["name"]).open("xb") as file:
            file.write(raw(asked["script"]))
    except FileExistsError:
        sys.exit(f"{asked['folder']} was started already; an attempt runs once.")
    except OSError as error:
        sys.exit(f"The run directory could not be made: {error.strerror}: {asked['folder']}")
    os.umask(before)
