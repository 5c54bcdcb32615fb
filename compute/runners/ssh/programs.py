"""The programs that are sent to a far machine, and how its Python is told to run one.

Each program is a file of ``compute/runners/far`` that needs nothing but Python. ``common.py`` is
put before it, and whatever ``NEEDS`` names. The far Python reads the program, and what the program
is asked, from its standard input: so nothing that a user wrote is ever on a command line, whatever
shell the far user has.
"""

from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent.with_name("far")
MARK = b"TRAINYARD ANSWERS\n"
# The empty entry of sys.path is left out, since what lies in the far user's home is no part of a
# program. The mark tells the answer apart from what the user's shell prints when it starts.
LOADER = (
    "import sys; sys.path[:] = [place for place in sys.path if place]; i = sys.stdin.buffer; "
    f'print("{MARK.decode().strip()}", flush=True); '
    'exec(compile(i.read(int(i.readline())), "trainyard", "exec"))'
)
NEEDS = {"receive": ("checked",), "folder": ("checked",)}
OWN_IMPORT = "from compute.runners.far."  # of what is put before the program anyhow


@cache
def program(name: str) -> bytes:
    """The text of a program after a line with its length in bytes, as ``LOADER`` reads it."""
    parts = [(FOLDER / f"{part}.py").read_text() for part in ("common", *NEEDS.get(name, ()), name)]
    lines = "\n".join(parts).splitlines()
    text = "\n".join(line for line in lines if not line.startswith(OWN_IMPORT)) + "\nmain()\n"
    data = text.encode()
    return b"%d\n" % len(data) + data
