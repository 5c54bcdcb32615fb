"""``python extract.py WHEEL``: writes the extract of measured kernel times (see README.md).

Latencies are written as whole numbers, ``round(1000 ln(microseconds))``: a step is a thousandth of
the time.
"""

import gzip
import hashlib
import io
import json
import sys
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from math import log
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

WHEEL = "aadc4aad0a00bf8a61c477c62bef43de479849c3aa0b1c3078068e08309eccc4"
TARGET = Path(__file__).resolve().parents[2] / "compute/sizing/speed/measured"
# Our slug: the card's folder, vLLM's release, NCCL's release.
CARDS = {
    "a100-80g": ("a100_sxm", "0.14.0", "2.27.3"),
    "h100-80g": ("h100_sxm", "0.24.0", "2.29.2"),
    "h200-141g": ("h200_sxm", "0.24.0", "2.29.2"),
    "l40s": ("l40s", "0.24.0", "2.27.3"),
    "b200-180g": ("b200_sxm", "0.24.0", "2.29.2"),
    "b300-270g": ("b300_sxm", "0.24.0", "2.29.2"),
    "gb200-186g": ("gb200", "0.24.0", "2.29.2"),
    "gb300-278g": ("gb300", "0.24.0", "2.29.2"),
    "rtx-pro-6000": ("rtx_pro_6000_server", "0.24.0", "2.29.2"),
}
ROWS = (
    1, 2, 4, 8, 16, 32, 64, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096, 8192, 16384,
    32768,
)  # fmt: skip
SMALLEST = 128  # columns and depth of a product
HEAD_DIMS = (64, 128, 192, 256)
COLLECTIVES = ("all_gather", "reduce_scatter", "all_reduce", "alltoall")
FP8 = ("fp8_block", "fp8")  # verl's rollouts quantize by blocks, where the card has such kernels
DISTRIBUTION = "power_law_1.2"
HALF = 2  # bytes of an element: NCCL's table counts elements

Row = Mapping[str, Any]


def main() -> None:
    wheel = Path(sys.argv[1])
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if digest != WHEEL:
        raise SystemExit(f"{wheel} has the SHA-256 {digest}, not {WHEEL}.")
    TARGET.mkdir(exist_ok=True)
    with zipfile.ZipFile(wheel) as package:
        for slug, (folder, engine, nccl) in CARDS.items():
            write(slug, extracted(package, slug, folder, engine, nccl))


def write(slug: str, tables: Mapping[str, Any]) -> None:
    text = json.dumps(tables, separators=(",", ":"), sort_keys=True).encode()
    path = TARGET / f"{slug}.json.gz"
    path.write_bytes(gzip.compress(text, compresslevel=9, mtime=0))
    sys.stdout.write(f"{path.name} {path.stat().st_size} bytes\n")


def extracted(
    package: zipfile.ZipFile, slug: str, folder: str, engine: str, nccl: str
) -> dict[str, Any]:
    root = f"aiconfigurator_core/systems/data/{folder}"

    def table(place: str, release: str, name: str) -> list[Any]:
        data = package.read(f"{root}/{place}/{release}/{name}_perf.parquet")
        rows: list[Any] = pq.read_table(io.BytesIO(data)).to_pylist()
        return rows

    products = table("gemm", f"vllm/{engine}", "gemm")
    attention = f"vllm/{engine}"
    return {
        "card": slug,
        "source": f"aiconfigurator-core 0.12.0, {folder}, vLLM {engine}, NCCL {nccl}",
        "device": products[0]["device"],
        "products": {
            "bf16": product_grid(products, ("bfloat16",)),
            "fp8": product_grid(products, FP8),
        },
        "prefill": grids(table("attention", attention, "context_attention"), "isl"),
        "decode": grids(table("attention", attention, "generation_attention"), "step"),
        "experts": expert_lines(table("moe", f"vllm/{engine}", "moe")),
        "collectives": collective_lines(table("comm/nccl", nccl, "nccl"), slug),
    }


def written(milliseconds: float | None) -> int:
    return -1 if milliseconds is None else round(1000 * log(1000 * milliseconds))


def product_grid(rows: list[Row], formats: tuple[str, ...]) -> dict[str, Any] | None:
    """A grid over rows, columns and depth of the first format that has most of it."""
    for one in formats:
        found = {
            (row["m"], row["n"], row["k"]): row["latency"]
            for row in rows
            if row["gemm_dtype"] == one
        }
        m, n, k = (sorted({key[axis] for key in found}) for axis in range(3))
        m = [size for size in m if size in ROWS]
        n, k = ([size for size in sizes if size >= SMALLEST] for sizes in (n, k))
        cells = [written(found.get((a, b, c))) for a in m for b in n for c in k]
        if cells and cells.count(-1) < len(cells) / 20:
            return {"format": one, "m": m, "n": n, "k": k, "cells": filled(cells, k)}
    return None


def filled(cells: list[int], k: list[int]) -> list[int]:
    """A cell that is missing (the largest ones) takes as long for its depth as the one before."""
    depth = len(k)
    for at, cell in enumerate(cells):
        if cell < 0 and at % depth:
            cells[at] = cells[at - 1] + round(1000 * log(k[at % depth] / k[at % depth - 1]))
    return cells


def grids(rows: list[Row], along: str) -> dict[str, Any]:
    """For each size of a head and pair of heads: a grid over batch and length."""
    kept = defaultdict(dict)  # type: ignore[var-annotated]
    for row in rows:
        if row.get("window_size", 0) or row["kv_cache_dtype"] != "bfloat16":
            continue
        if row["head_dim"] in HEAD_DIMS:
            key = f"{row['head_dim']}/{row['num_heads']}/{row['num_key_value_heads']}"
            kept[key][row["batch_size"], row[along]] = row["latency"]
    return {key: plane(cells) for key, cells in sorted(kept.items()) if len(cells) > 1}


def plane(cells: Mapping[tuple[int, int], float]) -> dict[str, Any]:
    """A grid; a batch that was too large to measure takes so much longer than the one before."""
    batches, lengths = (sorted({key[axis] for key in cells}) for axis in (0, 1))
    flat: list[int] = []
    for at, batch in enumerate(batches):
        for length in lengths:
            cell = written(cells.get((batch, length)))
            if cell < 0 and at and flat[-len(lengths)] >= 0:
                cell = flat[-len(lengths)] + round(1000 * log(batch / batches[at - 1]))
            flat.append(cell)
    whole = [at for at, _ in enumerate(lengths) if flat[at] >= 0]  # measured for the least batch
    rows = [flat[at : at + len(lengths)] for at in range(0, len(flat), len(lengths))]
    kept = [row[at] for row in rows for at in whole]
    return {"batch": batches, "length": [lengths[at] for at in whole], "cells": kept}


def lines(
    rows: Iterable[Row], key: Callable[[Row], str], along: Callable[[Row], int]
) -> dict[str, Any]:
    kept = defaultdict(dict)  # type: ignore[var-annotated]
    for row in rows:
        kept[key(row)][along(row)] = row["latency"]
    return {
        name: {"at": sorted(cells), "cells": [written(cells[at]) for at in sorted(cells)]}
        for name, cells in sorted(kept.items())
        if len(cells) > 1
    }


def expert_lines(rows: list[Row]) -> dict[str, Any]:
    """Whole mixtures (all experts on one card, not split) and those that hold a part of the
    experts: for each shape, a line over tokens."""
    return lines(
        (
            row
            for row in rows
            if row["moe_dtype"] == "bfloat16"
            and row["distribution"] == DISTRIBUTION
            and row["moe_ep_size"] == 1
        ),
        lambda row: "/".join(
            str(row[name])
            for name in ("hidden_size", "inter_size", "topk", "num_experts", "moe_tp_size")
        ),
        lambda row: row["num_tokens"],
    )


def collective_lines(rows: list[Row], slug: str) -> dict[str, Any]:
    """For each operation and number of cards: a line over bytes."""
    most = 2 if slug == "l40s" else 1024
    return lines(
        (
            row
            for row in rows
            if row["nccl_dtype"] == "half"
            and row["op_name"] in COLLECTIVES
            and row["num_gpus"] <= most
        ),
        lambda row: f"{row['op_name']}/{row['num_gpus']}",
        lambda row: HALF * row["message_size"],
    )


if __name__ == "__main__":
    main()
