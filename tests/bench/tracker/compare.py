"""Holds ``memory_of`` to what the tracker measured, without what no tracker sees."""

import json
import statistics
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from compute.sizing import answer
from compute.sizing.facts import read_facts
from compute.sizing.gpus import catalogue
from compute.sizing.memory.ledger import memory_of
from compute.sizing.question import Engine, Lengths, Lora, Question, Rollout, Update
from tests.bench.tracker.cells import Cell, read_cell

GIB = 1 << 30
CARDS = (40, 80, 96)  # GiB
# Seen by no tracker, or not on its card: of other roles, and moments in a pass without gradient.
UNSEEN = ("overhead", "others")


def compared(files: Sequence[Path], *, each: bool, margin: float = 0) -> None:
    """Print the table of errors and that of false fits; ``margin`` is added to the estimate."""
    rows = list(read(files))
    groups: dict[str, list[float]] = defaultdict(list)
    for cell, measured in rows:
        error = error_of(cell, measured)
        for group in _groups(cell):
            groups[group].append(error)
        if each:
            print(f"{error:+7.2%} {_named(cell)} {measured['phase']} {measured['operation']}")
    print(f"{'group':28}{'cells':>6}{'mean':>8}{'p95':>8}{'under':>8}{'over':>8}")
    for group in sorted(groups):
        print(_line(group, groups[group]))
    for gib in CARDS:
        print(_fits(rows, gib, margin))


def read(files: Iterable[Path]) -> Iterator[tuple[Cell, Mapping[str, Any]]]:
    """The cells that could be measured."""
    for file in files:
        for line in file.read_text(encoding="utf-8").splitlines():
            written = json.loads(line)
            if "error" not in written:
                yield read_cell(written["cell"]), written


def error_of(cell: Cell, measured: Mapping[str, Any]) -> float:
    """Estimate by truth, less one."""
    return estimated(cell) / truth(cell, measured) - 1


def truth(cell: Cell, measured: Mapping[str, Any]) -> int:
    """A reference's weights lie in the host's memory: the tracker cannot tell the two apart."""
    peak: int = measured["peak"]
    return peak - (measured["weights"] if cell.task == "reference" else 0)


def estimated(cell: Cell) -> int:
    question = question_of(cell)
    phase = {"forward": answer.LOG_PROB, "reference": answer.REF}.get(cell.task, answer.UPDATE)
    parts = memory_of(question).phases[phase]
    unseen = (*UNSEEN, "optimizer") if phase != answer.UPDATE else UNSEEN
    return sum(size for name, size in parts.items() if name not in unseen)


def question_of(cell: Cell) -> Question:
    engine = Engine(
        read_facts(cell.config), shards=cell.shards, strategy=cell.strategy,
        sequence_parallel=cell.sequence_parallel, checkpointing=cell.checkpointing,
        lora=Lora(cell.lora, cell.modules) if cell.lora else None, head=cell.head,
    )  # fmt: skip
    update = Update(
        cell.tokens, cell.tokens, cell.micro_batches, synced=cell.synced, pairs=cell.pairs,
        entropy=cell.entropy,
    )  # fmt: skip
    is_update = cell.task == "update"
    return Question(
        algorithm="sft" if is_update else "grpo", gpu=catalogue()["h100-80g"], gpus=cell.shards,
        per_node=8, actor=engine, update=update, lengths=Lengths(1, 1, 1, 1), rows=1,
        reference=None if is_update else engine, rollout=None if is_update else Rollout("vllm"),
        log_prob_tokens=cell.tokens, temperature=cell.temperature,
    )  # fmt: skip


def _groups(cell: Cell) -> tuple[str, ...]:
    family = cell.config["model_type"]
    sync = "one" if cell.micro_batches == 1 else "synced" if cell.synced else "deferred"
    if kind := _kind(cell):
        return ("all others", f"kind {kind}")
    return (
        "all dense updates", f"family {family}", f"strategy {cell.strategy}", f"micro {sync}",
        "tied" if cell.config["tie_word_embeddings"] else "untied",
        "checkpointing" if cell.checkpointing else "no checkpointing",
    )  # fmt: skip


def _kind(cell: Cell) -> str:
    named = {
        "lora": cell.lora, "critic": cell.head == "value", "pass": cell.task != "update",
        "mixture": "num_experts_per_tok" in cell.config, "pairs": cell.pairs,
        "sequence parallel": cell.sequence_parallel > 1,
        "entropy or temperature": cell.entropy or cell.temperature != 1,
    }  # fmt: skip
    return next((name for name, holds in named.items() if holds), "")


def is_dense_update(cell: Cell) -> bool:
    return not _kind(cell)


def _named(cell: Cell) -> str:
    config = cell.config
    return (
        f"{config['model_type']} h{config['hidden_size']} L{config['num_hidden_layers']} "
        f"T{cell.tokens} N{cell.shards} {cell.strategy} micro {cell.micro_batches} "
        f"{'synced' if cell.synced else 'deferred'} ckpt {cell.checkpointing:d} "
        f"tied {config['tie_word_embeddings']:d} {_kind(cell)} {cell.task}"
    )


def _line(group: str, errors: Sequence[float]) -> str:
    sizes = sorted(abs(one) for one in errors)
    at = sizes[min(len(sizes) - 1, round(0.95 * (len(sizes) - 1)))]
    return (
        f"{group:28}{len(errors):6}{statistics.mean(sizes):8.2%}{at:8.2%}"
        f"{min(0, *errors, 0):8.2%}{max(0, *errors, 0):8.2%}"
    )


def _fits(rows: Sequence[tuple[Cell, Mapping[str, Any]]], gib: int, margin: float) -> str:
    """How often the estimate would be wrong about a card, by the tracker's figures alone."""
    wrong_fits = wrong_refusals = fitting = 0
    for cell, measured in rows:
        fits = truth(cell, measured) <= gib * GIB
        said = estimated(cell) * (1 + margin) <= gib * GIB
        fitting += fits
        wrong_fits += said and not fits
        wrong_refusals += fits and not said
    return (
        f"{gib} GiB with a margin of {margin:.1%}: {len(rows)} cells, {fitting} fit; "
        f"falsely 'fits' {wrong_fits}, falsely 'does not fit' {wrong_refusals}"
    )
