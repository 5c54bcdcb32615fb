"""Jobs of surgery as the platform makes and judges them, by its own Python."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from conftest import read_lines
from trainyard_node.record import RUN_DIR

ROOT = Path(__file__).parents[3]
PLATFORM = ROOT / ".venv/bin/python"
MAKE = """
import json, sys
from jobs.kinds.base import End
from jobs.process import Placement
from surgery.kinds.all import KINDS
given = json.load(sys.stdin)
kind = KINDS[given["kind"]]
spec = kind.read(given["spec"])
place = Placement(given["root"], given["python"], "made")
command = kind.command(spec, place, {})
end = End(given["code"], said=given["said"])
product, = kind.makes(spec)
json.dump({
    "argv": command.argv, "env": command.env, "product": product.path,
    "verdict": vars(kind.judge(spec, end)), "measured": vars(kind.measured(product, given["said"])),
}, sys.stdout)
"""


def ran(kind: str, spec: Mapping[str, Any], root: Path) -> dict[str, Any]:
    """What came of a job: its verdict, the folder that it made, and what was measured of it."""
    root.mkdir()
    asked = _platform(kind, spec, root, 1, {})
    env = {**os.environ, **asked["env"], RUN_DIR: str(root)}
    ended = subprocess.run(
        asked["argv"], env=env, cwd=root, capture_output=True, text=True, check=False
    )
    events = read_lines(root / "events.jsonl")
    said = {each["kind"]: each for each in events}
    found = _platform(kind, spec, root, ended.returncode, said)
    return {**found, "folder": root / found["product"], "log": ended.stdout + ended.stderr}


def _platform(
    kind: str, spec: Mapping[str, Any], root: Path, code: int, said: Mapping[str, Any]
) -> dict[str, Any]:
    given = {"kind": kind, "spec": spec, "root": str(root), "python": sys.executable}
    text = subprocess.check_output(
        [PLATFORM, "-c", MAKE], cwd=ROOT, text=True,
        input=json.dumps({**given, "code": code, "said": said}),
    )  # fmt: skip
    found: dict[str, Any] = json.loads(text)
    return found
