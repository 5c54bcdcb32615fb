"""What ``compute.sizing`` says of a cell. Standard library alone, as all of this needs no torch."""

from dataclasses import replace
from typing import Any

from compute.sizing import answer
from compute.sizing.answer import Memory
from compute.sizing.estimate import fits
from compute.sizing.facts import read_facts
from compute.sizing.gpus import Gpu, UnknownGpu, find
from compute.sizing.memory.ledger import memory_of
from compute.sizing.question import Engine, Lengths, Question, Rollout, Update
from compute.sizing.speed.kernels import card_of
from compute.sizing.speed.passes import passed
from compute.sizing.speed.shapes import shape_of
from compute.sizing.speed.times import time_of
from tests.bench.card.cells import Cell

Figures = dict[str, Any]
UNSEEN = ("overhead", "others")
"""Categories that PyTorch's allocator does not hold."""


def slug_of(card: str) -> str | None:
    """The catalogue's name for what a driver calls ``card``; None where it lists no such."""
    try:
        return find(card).slug
    except UnknownGpu:
        return None


def card_of_run(found: Figures) -> tuple[Gpu, bool]:
    """The card of a run with the memory that the driver told, and whether its speed is known."""
    memory, slug = found["memory"], found["slug"]
    if slug:
        return replace(find(slug), memory=memory), True
    name = found["card"]
    return Gpu("unlisted", name, "", memory, 1.0, None, 1.0, 1.0, 1.0, "not listed"), False


def estimated(cell: Cell, gpu: Gpu, has_speed: bool) -> Figures:
    """Bytes and seconds by the names that ``trainer`` measures them under.

    ``allocated`` is what PyTorch's allocator would hold, ``whole`` all that the card would.
    Seconds are None where the card's speed is not known.
    """
    update, scoring = _update(cell, gpu), _scoring(cell, gpu)
    memory, without = memory_of(update), memory_of(scoring)
    return {
        "memory": {
            "update": {
                "allocated": _allocated(memory, answer.UPDATE),
                "whole": memory.peaks[answer.UPDATE],
                "categories": dict(memory.phases[answer.UPDATE]),
            },
            "log_prob": {
                "allocated": _allocated(without, answer.LOG_PROB),
                "whole": without.peaks[answer.LOG_PROB],
                "categories": dict(without.phases[answer.LOG_PROB]),
            },
        },
        "band": list(memory.band),
        "fits": fits(update, memory),
        "seconds": _seconds(cell, update, scoring) if has_speed else None,
    }


def _allocated(memory: Memory, phase: str) -> int:
    return sum(size for name, size in memory.phases[phase].items() if name not in UNSEEN)


def _update(cell: Cell, gpu: Gpu) -> Question:
    """One step of SFT, whose loss is what ``trainer`` makes: log-probabilities, no entropy."""
    engine = Engine(read_facts(cell.config), 1, checkpointing=cell.checkpointing)
    return Question(
        "sft", gpu, 1, 1,
        actor=engine,
        update=Update(cell.tokens, cell.tokens, cell.micro_batches, cell.synced),
        lengths=Lengths(cell.length, cell.length, 0, 0, "data"),
        rows=cell.rows * cell.micro_batches,
    )  # fmt: skip


def _scoring(cell: Cell, gpu: Gpu) -> Question:
    """A step of GRPO whose pass for log-probabilities is one micro batch of the cell. Its rollout
    is in the same process, and leaves nothing on the card."""
    half = cell.length // 2
    return replace(
        _update(cell, gpu),
        algorithm="grpo",
        lengths=Lengths(half, half, cell.length - half, cell.length - half, "data"),
        rows=cell.rows,
        rollout=Rollout("hf"),
        log_prob_tokens=cell.tokens,
    )


def _seconds(cell: Cell, update: Question, scoring: Question) -> dict[str, float]:
    """The parts of the update, from what other updates take.

    One more micro batch without a reduction is a forward and a backward pass; what remains of a
    step is the reduction and the optimizer.
    """
    late = replace(update.update, synced=False, micro_batches=1)
    one = time_of(replace(update, update=late)).phases[answer.UPDATE]
    two = time_of(replace(update, update=replace(late, micro_batches=2))).phases[answer.UPDATE]
    card, shape = card_of(update.gpu), shape_of(update.actor.model)
    ahead = passed(card, shape, cell.tokens, cell.length, 1, False, False).forward
    return {
        "forward": cell.micro_batches * ahead,
        "backward": cell.micro_batches * (two - one - ahead),
        "optimizer": 2 * one - two,
        "step": time_of(update).phases[answer.UPDATE],
        "log_prob": time_of(scoring).phases[answer.LOG_PROB],
    }
