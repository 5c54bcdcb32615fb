"""The recipes that are timed: mergekit's YAML, for models by their folders."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

METHODS = ("linear", "slerp", "ties")
HEAVIER = 0.1  # each model's weight above the one before: equal weights would hide an exchange


def write(path: Path, method: str, base: Path, others: Sequence[Path]) -> Path:
    """Write the recipe of a method; linear has no base."""
    recipe: dict[str, Any] = {"merge_method": method, "dtype": "bfloat16"}
    models: list[dict[str, Any]] = [
        {"model": str(each), "parameters": {"weight": 0.5 + HEAVIER * number}}
        for number, each in enumerate(others)
    ]
    if method == "slerp":
        models = [{"model": str(each)} for each in (base, *others)]
        recipe |= {"base_model": str(base), "parameters": {"t": 0.4}}
    elif method == "ties":
        recipe |= {"base_model": str(base), "parameters": {"density": 0.5, "normalize": True}}
    recipe["models"] = models
    path.write_text(yaml.safe_dump(recipe, sort_keys=False))
    return path
