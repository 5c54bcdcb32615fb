"""The methods that the pages explain are those that the node works by."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from surgery.recipes import vocabulary
from surgery.recipes.methods import METHODS

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / "environments/verl-0.9/.venv/bin/python"
ASK = """
import json
from trainyard_node.merge.methods import METHODS
from trainyard_node.merge import choice, templates
print(json.dumps([{m.name: [m.about, m.base, m.least, m.most, [
    [p.name, p.default, p.of, p.required, p.kind.__name__] for p in m.parameters
]] for m in METHODS.values()}, {
    "templates": [*sorted(templates.NAMED), templates.AUTO], "keys": choice.KEYS,
    "of_token": choice.OF_TOKEN, "of_row": choice.OF_ROW, "most": choice.MOST_MULTIPLE,
    "kinds": [choice.ZERO, choice.MODEL_TOKEN], "sources": [choice.BASE, choice.UNION],
}]))
"""


@pytest.mark.skipif(not PYTHON.exists(), reason="needs the training environment")
def test_both_name_the_same_methods_parameters_and_words() -> None:
    env = {**os.environ, "PYTHONPATH": str(ROOT / "environments/node")}
    argv = [str(PYTHON), "-c", ASK]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=True, timeout=300)
    ours = {
        m.name: [m.about, m.base, m.least, m.most,
                 [[p.name, p.default, p.of, p.required, p.kind.__name__] for p in m.parameters]]
        for m in METHODS.values()
    }  # fmt: skip
    words = {
        "templates": [*vocabulary.TEMPLATES, vocabulary.AUTO], "keys": [*vocabulary.KEYS],
        "of_token": [*vocabulary.OF_TOKEN], "of_row": [*vocabulary.OF_ROW],
        "most": vocabulary.MOST_MULTIPLE, "kinds": [*vocabulary.KINDS],
        "sources": [vocabulary.BASE, vocabulary.UNION],
    }  # fmt: skip
    assert json.loads(done.stdout) == [ours, words]


def test_defaults_lie_in_their_usual_ranges() -> None:
    for method in METHODS.values():
        for each in method.parameters:
            if each.low is not None and each.high is not None and each.default is not None:
                assert each.low <= each.default <= each.high, (method.name, each.name)
            assert each.about
