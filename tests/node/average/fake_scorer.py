"""Stands in for verl's trainer: how far a model's first tensor is from WANTED, written as a loss.

python fake_scorer.py FOLDER/model WANTED
"""

import array
import json
import os
import sys
from pathlib import Path

# The first tensor of the file, in float32; importing torch would take most of the time.
data = Path(sys.argv[1], "model.safetensors").read_bytes()
numbers = array.array("f", data[8 + int.from_bytes(data[:8], "little") :])
off = abs(sum(numbers) / len(numbers) - float(sys.argv[2]))
lines = [
    {"step": 0, "data": {"val/loss": 0.0}},
    {"step": 1, "data": {"train/loss": 9.0}},
    {"step": 1, "data": {"val/loss": off if off < 90 else None}},  # verl writes null for NaN
]
text = "".join(json.dumps(line) + "\n" for line in lines)
Path(os.environ["VERL_FILE_LOGGER_PATH"]).write_text(text)
