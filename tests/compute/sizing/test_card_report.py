"""The report of the script that measures on a real card; the figures here are made up."""

from dataclasses import asdict
from typing import Any

import pytest

from tests.bench.card.cells import CARD, CPU, MODELS, picked
from tests.bench.card.estimates import card_of_run, estimated, slug_of
from tests.bench.card.report import again, errors, table, with_errors

GIB = 1 << 30
H200 = {"device": "cuda", "card": "NVIDIA H200", "slug": "h200-141g", "memory": 139 * GIB}
ABOUT = {"driver": "570.1", "torch": "2.13.0", "ways": {"attention": "sdpa"}, "left_out": ["x/y"]}
SECONDS = {"forward": 0.1, "backward": 0.2, "optimizer": 0.05, "step": 0.35, "log_prob": 0.1}


def measured(cell: Any, **changes: Any) -> dict[str, Any]:
    gpu, has_speed = card_of_run(H200)
    memory = {
        name: {"allocated": size * GIB, "reserved": (size + 1) * GIB}
        for name, size in (("forward", 6), ("backward", 9), ("optimizer", 7), ("log_prob", 5))
    }
    return {
        "name": cell.name, "cell": asdict(cell), "status": "measured",
        "estimated": estimated(cell, gpu, has_speed),
        "measured": {"memory": memory, "seconds": dict(SECONDS)}, **changes,
    }  # fmt: skip


def test_the_cells_are_of_the_sizes_that_are_asked_for() -> None:
    assert len(CARD) >= 6
    assert {cell.checkpointing for cell in CARD} == {True, False}
    assert {cell.micro_batches for cell in CARD} == {1, 4}
    assert {cell.synced for cell in CARD} == {True, False}
    assert min(cell.tokens for cell in CARD) == 2048
    assert max(cell.tokens for cell in CARD) == 16384
    assert len({cell.name for cell in (*CARD, *CPU)}) == len(CARD) + len(CPU)
    assert {cell.model for cell in (*CARD, *CPU)} == set(MODELS)
    assert all(cell.rows * cell.length == cell.tokens for cell in (*CARD, *CPU))


def test_cells_are_picked_by_parts_of_their_names() -> None:
    assert picked(CARD, "") == list(CARD)
    assert {cell.model for cell in picked(CARD, "llama, 0.5b")} == {
        "llama-3.2-1b", "llama-3.2-3b", "qwen2.5-0.5b",
    }  # fmt: skip
    assert picked(CARD, "no-such") == []


@pytest.mark.parametrize("cell", CARD, ids=lambda cell: cell.name)
def test_the_parts_of_a_step_are_those_of_the_whole(cell: Any) -> None:
    told = estimated(cell, *card_of_run(H200))["seconds"]

    assert all(seconds > 0 for seconds in told.values()), told
    parts = told["forward"] + told["backward"] + told["optimizer"]
    assert parts == pytest.approx(told["step"], rel=0.02)


def test_errors_are_of_the_estimate_against_what_was_measured() -> None:
    one = measured(CARD[0])
    one["estimated"]["memory"]["update"]["allocated"] = 18 * GIB
    one["estimated"]["seconds"]["forward"] = 0.05

    found = errors(one)

    assert found
    assert found["update_bytes"] == pytest.approx(1.0)  # against 9 GiB, the highest of the three
    assert found["forward"] == pytest.approx(-0.5)


def test_the_table_has_a_line_for_each_cell_whatever_became_of_it() -> None:
    full = measured(CARD[1], status="out of memory", message="Tried to allocate 2.00 GiB.")
    cpu_like = measured(CARD[2])
    cpu_like["measured"]["memory"] = None
    found = {**H200, **ABOUT, "cells": [measured(CARD[0]), full, cpu_like]}

    lines = table(with_errors(found)).splitlines()

    assert lines[0].startswith("NVIDIA H200, driver 570.1, torch 2.13.0")
    assert lines[2].split()[:2] == [CARD[0].name, "9.00"]
    assert "out of memory" in lines[3]
    assert "estimate: fits" in lines[3]
    assert lines[4].split()[:2] == [CARD[2].name, "-"]
    assert lines[5].startswith("x/y: left out")


def test_a_kept_run_is_compared_with_the_estimates_of_today() -> None:
    one = measured(CARD[0])
    truth = one["estimated"]["memory"]["update"]["allocated"]
    one["estimated"]["memory"]["update"]["allocated"] = 1

    found = again({**H200, **ABOUT, "cells": [one]})

    assert found["cells"][0]["estimated"]["memory"]["update"]["allocated"] == truth


def test_a_card_that_no_catalogue_lists_gets_no_times() -> None:
    assert slug_of("NVIDIA H200") == "h200-141g"
    assert slug_of("Some Card 7") is None
    card = {**H200, "card": "Some Card 7", "slug": None}

    told = estimated(CARD[0], *card_of_run(card))

    assert told["seconds"] is None
    assert told["memory"]["update"]["allocated"] > GIB
    assert told["fits"] is True
    kept = {**card, **ABOUT, "cells": [{**measured(CARD[0]), "estimated": told}]}
    assert "not in the catalogue" in table(with_errors(kept))
