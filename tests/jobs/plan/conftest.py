"""A model of half a billion weights, whose config is all that a plan reads of it."""

import json
from pathlib import Path

import pytest

from tests.compute.sizing import configs


@pytest.fixture
def model(home: Path) -> str:
    folder = home / "qwen"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(configs.QWEN_25_HALF_B))
    return str(folder)
