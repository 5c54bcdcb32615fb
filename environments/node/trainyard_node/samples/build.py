"""Build the sample directory completely or not at all."""

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from trainyard_node.attempt import write_atomic
from trainyard_node.samples import data, model, warmup

MANIFEST = "samples.json"
# Version 2 added preference pairs.
VERSION = 2
SEED = 7


class Occupied(Exception):
    """The output directory holds something else."""


def build(output: Path) -> dict[str, Any]:
    """Make the samples in `output` unless they exist; return their description.

    Files that an older version did not make are added. Raises Occupied when `output` holds other
    things: no file of a user is overwritten.
    """
    output = output.expanduser().resolve()
    found = describe(output)
    if found is not None:
        return found if found["version"] == VERSION else _bring_up_to_date(output)
    if output.exists() and any(output.iterdir()):
        raise Occupied(f"{output} is not empty and holds no samples")
    output.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{output.name}.", dir=output.parent))
    try:
        # One level down, since the temporary directory itself is closed to other users.
        staged = work / output.name
        staged.mkdir()
        _make(staged)
        _put_in_place(staged, output)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    found = describe(output)
    if found is None:
        raise Occupied(f"{output} was filled by someone else meanwhile")
    return found


def describe(output: Path) -> dict[str, Any] | None:
    """The manifest with absolute paths, or None if there are no complete samples."""
    try:
        manifest = json.loads((output / MANIFEST).read_text())
    except (OSError, ValueError):
        return None
    for entry in [*manifest["models"].values(), *manifest["files"].values()]:
        entry["path"] = str(output / entry["path"])
    return {"directory": str(output), **manifest}


def _bring_up_to_date(output: Path) -> dict[str, Any]:
    manifest = json.loads((output / MANIFEST).read_text())
    manifest["files"] |= _make_pairs(output, *data.problems(SEED))
    write_atomic(output / MANIFEST, _as_text({**manifest, "version": VERSION}))
    return describe(output) or {}


def _put_in_place(staged: Path, output: Path) -> None:
    try:
        staged.rename(output)
    except OSError:
        if describe(output) is None:
            raise  # complete samples of another process will do; anything else is an error


def _make(work: Path) -> None:
    train, validation = data.problems(SEED)
    manifest = {
        "version": VERSION,
        "data_source": data.DATA_SOURCE,
        "models": _make_models(work, train),
        "files": _make_files(work, train, validation),
    }
    (work / MANIFEST).write_text(_as_text(manifest))


def _as_text(manifest: dict[str, Any]) -> str:
    return json.dumps(manifest, indent=1) + "\n"


def _make_files(
    work: Path, train: list[data.Problem], validation: list[data.Problem]
) -> dict[str, Any]:
    sft = data.repeated(train, data.SFT_ROWS, SEED)
    rl = data.repeated(train, data.RL_ROWS, SEED + 1)
    rows = {
        "sft/train.parquet": data.write_sft(work / "sft/train.parquet", sft),
        "sft/val.parquet": data.write_sft(work / "sft/val.parquet", validation),
        "rl/train.parquet": data.write_rl(work / "rl/train.parquet", rl, "train"),
        "rl/val.parquet": data.write_rl(work / "rl/val.parquet", validation, "val"),
    }
    return _listed(rows) | _make_pairs(work, train, validation)


def _make_pairs(
    work: Path, train: list[data.Problem], validation: list[data.Problem]
) -> dict[str, Any]:
    chosen = data.repeated(train, data.DPO_ROWS, SEED + 2)
    rows = {
        "dpo/train.parquet": data.write_dpo(work / "dpo/train.parquet", chosen, SEED),
        "dpo/val.parquet": data.write_dpo(work / "dpo/val.parquet", validation, SEED + 1),
    }
    return _listed(rows)


def _listed(rows: dict[str, int]) -> dict[str, Any]:
    return {name: {"path": name, "rows": count} for name, count in rows.items()}


def _make_models(work: Path, train: list[data.Problem]) -> dict[str, Any]:
    model.prepare()
    tokenizer = model.build_tokenizer(p.question + warmup.HEDGE + p.answer for p in train)
    fresh = model.build_model(tokenizer, SEED)
    count = model.save(fresh, tokenizer, work / "model")
    loss = warmup.warm_up(fresh, tokenizer, train, SEED)
    model.save(fresh, tokenizer, work / "model-warm")
    return {
        "model": {"path": "model", "parameters": count},
        "model-warm": {"path": "model-warm", "parameters": count, "warm_up_loss": round(loss, 3)},
    }
