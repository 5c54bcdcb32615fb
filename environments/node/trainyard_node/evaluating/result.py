"""What an evaluation leaves: `evaluation.json`, and `scores.jsonl` with a line for each prompt."""

import importlib.metadata
import json
import os
from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from trainyard_node.attempt import part_of, write_atomic
from trainyard_node.evaluating.journal import STATE, Line, encoded
from trainyard_node.evaluating.spec import Asked

REPORT, SCORES = "evaluation.json", "scores.jsonl"
PACKAGES = {"verl": "verl", "transformers": "transformers", "torch": "torch"}


def digest_of(facts: Any) -> str:
    """The SHA-256 of facts as JSON."""
    return sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()


def evaluator(
    asked: Asked, same: Mapping[str, Any], backend: str, dtype: str, lm_eval: str | None
) -> dict[str, Any]:
    """What evaluated, with the digest over `same`: all that must be the same for two results to be
    compared."""
    return {
        "way": asked.way, "trainyard_node": _version("trainyard-node"), **versions(backend),
        "lm_eval": lm_eval, "backend": backend, "dtype": dtype,
        "digest": digest_of({"way": asked.way, **same}), "of": dict(same),
    }  # fmt: skip


def versions(backend: str) -> dict[str, str]:
    """Those of the packages that answer."""
    more = {} if backend in PACKAGES else {backend: backend}
    return {name: _version(package) for name, package in {**PACKAGES, **more}.items()}


def write_state(folder: Path, state: Mapping[str, Any]) -> None:
    """From here on an attempt of the same digest may go on after what is kept."""
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / STATE, json.dumps(state) + "\n", sync=True)


def write_result(folder: Path, result: Mapping[str, Any], scores: Iterable[Line]) -> None:
    """The scores first: where the report is, all is."""
    target = folder / SCORES
    with part_of(target).open("wb") as out:
        for line in scores:
            out.write(encoded(line))
        out.flush()
        os.fsync(out.fileno())
    part_of(target).replace(target)
    text = json.dumps(result, indent=1, allow_nan=False) + "\n"
    write_atomic(folder / REPORT, text, sync=True)


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""
