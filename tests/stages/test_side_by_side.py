"""What belongs together is taken by one process, though two test side by side: else what it shares
would be started twice, without a word.
"""

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.stages.plan import PLATFORM, ROOT, SIDE_BY_SIDE, TRAINING

TOGETHER = """
import pytest

@pytest.mark.parametrize("number", range(8))
@pytest.mark.xdist_group("together")
def test_one(number): pass
"""


@pytest.mark.parametrize("python", [PLATFORM, TRAINING])
def test_a_group_is_taken_by_one_process(python: str, tmp_path: Path) -> None:
    (tmp_path / "test_group.py").write_text(TOGETHER)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    argv = [str(ROOT / python), "-m", "pytest", "-v", "-p", "no:cacheprovider", *SIDE_BY_SIDE]
    env = {"PATH": os.environ["PATH"]}  # neither Django's settings nor what xdist says of us
    done = subprocess.run(argv, cwd=tmp_path, env=env, capture_output=True, text=True, check=True)
    takers = re.findall(r"^\[(gw\d)\].* PASSED", done.stdout, re.MULTILINE)
    assert len(takers) == 8
    assert len(set(takers)) == 1, done.stdout
