"""Very small models that answer: random weights, as the training environment makes them."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.ray_cluster import PYTHON

MAKE = """
from pathlib import Path
from trainyard_node.samples import model
model.prepare()
words = model.build_tokenizer(["1+1=2"])
for seed, folder in enumerate({folders!r}):
    model.save(model.build_model(words, seed), words, Path(folder))
"""


def make_models(folders: Sequence[Path | str]) -> None:
    """A model of its own in each folder."""
    script = MAKE.format(folders=[str(folder) for folder in folders])
    subprocess.run([str(PYTHON), "-c", script], check=True, capture_output=True, cwd="/")
