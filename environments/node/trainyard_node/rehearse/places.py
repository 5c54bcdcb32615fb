"""Before anything heavy: the keys, the folders to write into, the packages."""

import importlib.util
import os
import shutil
import tempfile
from pathlib import Path

from trainyard_node.rehearse.plan import Fault, Plan
from trainyard_node.rehearse.shrink import folder_of
from trainyard_node.saved import weight_count

LEAST_FREE = 2 << 30  # bytes for a small model's checkpoints


def check_keys(plan: Plan) -> str:
    """Hydra takes all overrides of the trainer's own command."""
    from trainyard_node.schema import refusal

    if reason := refusal(plan.config, plan.overrides):
        raise Fault(f"Hydra refuses the settings: {first_line(reason)}")
    return f"Hydra takes all {len(plan.overrides)} settings of the command."


def check_folders(plan: Plan) -> str:
    """Everything that the run writes can be written."""
    folders = {"The run directory": plan.folder, "The temporary folder": tempfile.gettempdir()}
    folders |= {f"{name} is {path}, which": path for name, path in plan.folders.items()}
    for name, path in folders.items():
        if why := unwritable(Path(path)):
            raise Fault(f"{name} cannot be written: {why}.")
    free = shutil.disk_usage(nearest(Path(plan.folder))).free
    if free < LEAST_FREE:
        raise Fault(f"{free / 2**30:.1f} GiB are free for the run directory: too little to try.")
    return (
        f"{len(folders)} folders can be written; {free / 2**30:.0f} GiB are free"
        f"{_room_for_checkpoint(plan, free)}."
    )


def _room_for_checkpoint(plan: Plan, free: int) -> str:
    """What a checkpoint of the job's own models takes, where one is saved. Raises Fault."""
    if not plan.saved:
        return ""
    own = plan.models["model"]  # which is the critic's too, where it has none of its own
    counts = {name: _weights(plan.models.get(name, own).source) for name in plan.saved}
    if unknown := [name for name, count in counts.items() if count is None]:
        return f", and how much a checkpoint of the {unknown[0]} takes is not known"
    size = sum(plan.saved[name] * count for name, count in counts.items() if count)
    here = size / plan.machines
    if free < here:
        of_all = f" of its {size / 2**30:.1f} GiB" if plan.machines > 1 else ""
        raise Fault(
            f"A checkpoint takes about {here / 2**30:.1f} GiB{of_all} here, and "
            f"{free / 2**30:.1f} GiB are free for the run directory."
        )
    return f", and a checkpoint takes about {_size(here)} of them"


def _size(count: float) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 1 << 30 else f"{count / 2**20:.0f} MiB"


def _weights(source: str) -> int | None:
    """How many weights a model has by the headers of its safetensors files; None where there is
    none of these."""
    try:
        return weight_count(folder_of(source)) or None
    except (Fault, OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def nearest(path: Path) -> Path:
    """The path or the lowest folder above it that is there."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return path


def unwritable(path: Path) -> str:
    """Why nothing can be written below a path that need not exist; empty when it can."""
    there = nearest(path)
    if not there.is_dir():
        return f"{there} is no folder"
    try:
        with tempfile.TemporaryDirectory(prefix=".rehearsal-", dir=there):
            return ""
    except OSError as error:
        return f"{there}: {os.strerror(error.errno or 0)}"


def check_packages(plan: Plan) -> str:
    """Python finds the packages that the settings need. What a reward function imports is found
    when that is tried."""
    lacking = [name for name in plan.packages if importlib.util.find_spec(name) is None]
    if lacking:
        needs = "; ".join(f"{name}, for {plan.packages[name]}" for name in lacking)
        raise Fault(f"The training environment lacks {needs}.")
    names = ", ".join(plan.packages) or "none beside verl's own"
    return f"The packages that the settings ask for are there: {names}."


def first_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[0] if lines else "no reason was given"
