"""Constant programs for the far side, and how one is handed to its Python.

Each is a file of this folder that needs nothing but Python; ``common`` goes before each, and what
is named in ``NEEDS``. Python
reads the program and what it shall do from its input, so no word of a user's is ever on a command
line, whatever shell the far user has.
"""

from functools import cache
from pathlib import Path

HERE = Path(__file__).parent
MARK = b"TRAINYARD ANSWERS\n"
# Without the empty entry of the path: what lies in the far user's home is no part of this. The
# mark sets the answer apart from what the user's shell says when it starts.
LOADER = (
    "import sys; sys.path[:] = [place for place in sys.path if place]; i = sys.stdin.buffer; "
    f'print("{MARK.decode().strip()}", flush=True); '
    'exec(compile(i.read(int(i.readline())), "trainyard", "exec"))'
)


@cache
def program(name: str) -> bytes:
    """The program with its length before it, as the loader takes it."""
    parts = [(HERE / f"{part}.py").read_text() for part in ("common", *NEEDS.get(name, ()), name)]
    lines = [line for line in "\n".join(parts).splitlines() if not line.startswith(OURS)]
    text = ("\n".join(lines) + "\nmain()\n").encode()
    return b"%d\n" % len(text) + text


OURS = "from compute.runners.far."
NEEDS = {"receive": ("checked",), "folder": ("checked",)}
