"""Measures cells one after the other, on a card or, for everything but the figures, on the CPU."""

import gc
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

import torch
import torch.distributed as dist
import transformers

from compute.sizing.gpus import find
from tests.bench.card.cells import Cell
from tests.bench.card.estimates import Figures, card_of_run, estimated, slug_of
from tests.bench.card.losses import Losses, losses_of
from tests.bench.card.trainer import Trainer, attention_of, join_alone
from tests.bench.card.watch import Clock, Nothing, Peaks, medians

TURNS = 3
STAND_IN = "h100-80g"  # the card that cells on the CPU are estimated for
LEAST = 15.0  # seconds that a cell is expected to take at least
Kept = Callable[[Figures], None]


def measure(cells: Iterable[Cell], device: str, budget: float, keep: Kept) -> Figures:
    """All figures. ``keep`` gets them after each cell, so that an end that comes early loses
    nothing. No cell starts that would likely not end within ``budget`` seconds."""
    began, longest = time.monotonic(), LEAST
    join_alone(device)
    if device == "cpu":
        torch.set_num_threads(1)  # tiny products gain nothing by more
    try:
        losses = losses_of(device)
        found = {**about(device), "ways": {**losses.names, "attention": attention_of(device)}}
        found |= {"cells": [], "left_out": []}
        for cell in cells:
            if time.monotonic() - began + 1.3 * longest > budget:
                found["left_out"].append(cell.name)
                continue
            started = time.monotonic()
            gpu, has_speed = card_of_run(found)
            one = {"name": cell.name, "cell": vars(cell)}
            one |= {"estimated": estimated(cell, gpu, has_speed)}
            found["cells"].append(one | tried(cell, device, losses))
            longest = max(longest, time.monotonic() - started)
            found["seconds"] = round(time.monotonic() - began, 1)
            print(f"{cell.name}: {found['cells'][-1]['status']}", file=sys.stderr, flush=True)
            keep(found)
        if found["cells"]:
            keep(found)  # with those that were left out
    finally:
        dist.destroy_process_group()
    return found


def about(device: str) -> Figures:
    """The card, and what drives it."""
    if device == "cuda":
        card = torch.cuda.get_device_name(0)
        memory = torch.cuda.get_device_properties(0).total_memory
        slug = slug_of(card)
    else:
        card, slug, memory = "CPU", STAND_IN, find(STAND_IN).memory
    return {
        "device": device,
        "card": card,
        "slug": slug,
        "memory": memory,
        "driver": _asked("driver_version") if device == "cuda" else None,
        "power_limit": _asked("power.limit") if device == "cuda" else None,
        "cuda": torch.version.cuda,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
    }


def _asked(what: str) -> str | None:
    """What the driver's own program says of the first card."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    command = [program, f"--query-gpu={what}", "--format=csv,noheader", "--id=0"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    return ended.stdout.strip() if ended.returncode == 0 else None


def tried(cell: Cell, device: str, losses: Losses) -> Figures:
    """One cell's figures. What goes wrong in it is a part of them, and ends nothing else."""
    try:
        found = {"status": "measured", "measured": _measured(cell, device, losses)}
    except torch.cuda.OutOfMemoryError as error:
        found = {"status": "out of memory", "message": str(error)[:500]}
    except Exception as error:
        found = {"status": "failed", "message": f"{type(error).__name__}: {error}"[:500]}
    # The traceback that held the model's tensors is gone now.
    gc.collect()
    if device == "cuda":
        torch.cuda.empty_cache()
    return found


def _measured(cell: Cell, device: str, losses: Losses) -> Figures:
    left = torch.cuda.memory_allocated() if device == "cuda" else None
    trainer = Trainer(cell, device, losses)
    gc.collect()
    if device == "cuda":
        torch.cuda.empty_cache()  # what building the model took
    trainer.step(Nothing())
    trainer.score(Nothing())
    memory = _memory(trainer) if device == "cuda" else None
    turns = []
    for _ in range(TURNS):
        clock = Clock(device)
        with clock.phase("step"):
            trainer.step(clock)
        trainer.score(clock)
        turns.append(clock.seconds())
    weights = sum(weight.numel() for weight in trainer.model.parameters())
    return {"weights": weights, "left": left, "memory": memory, "seconds": medians(turns)}


def _memory(trainer: Trainer) -> dict[str, Any]:
    """Peaks of each phase, and ``unseen``: what the card lost to this process beside its allocator
    (context, NCCL, libraries) where no other process runs on it."""
    peaks = Peaks()
    trainer.step(peaks)
    trainer.score(peaks)
    free, total = torch.cuda.mem_get_info()
    return {**peaks.bytes, "unseen": total - free - torch.cuda.memory_reserved()}
