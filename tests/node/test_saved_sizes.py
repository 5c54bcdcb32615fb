"""The sizes that the platform is held against are those that the installed verl writes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

WRITER = Path(__file__).with_name("saved_sizes.py")
KEPT = Path(__file__).parents[1] / "compute/sizing/memory/saved_sizes.json"


def test_the_kept_sizes_are_those_that_verl_writes(tmp_path: Path) -> None:
    target = tmp_path / "sizes.json"
    # A process of its own, elsewhere: the root has its own `datasets`, and so has this process.
    subprocess.run([sys.executable, str(WRITER), str(target)], cwd="/", check=True, timeout=600)

    kept, found = (json.loads(path.read_text(encoding="utf-8")) for path in (KEPT, target))

    assert len(found) == len(kept)
    for one, other in zip(found, kept, strict=True):
        assert one.pop("bytes") == pytest.approx(other.pop("bytes"), rel=1e-3)
        assert one == other
