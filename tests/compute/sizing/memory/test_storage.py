"""Checkpoints against the bytes that verl's own manager wrote of a tiny model."""

import json
from pathlib import Path
from typing import Any

import pytest

from compute.sizing.facts import read_facts
from compute.sizing.memory.storage import contents
from compute.sizing.question import Engine, Lora

CASES = json.loads(Path(__file__).with_name("saved_sizes.json").read_text("utf-8"))
RANKS = 2


def _named(case: dict[str, Any]) -> str:
    lora = f"LoRA {case['rank']}" if case["rank"] else "all weights"
    return f"{case['strategy']} {case['master']} {lora} {case['replicas']} {case['tied']}"


def _engine(case: dict[str, Any]) -> Engine:
    return Engine(
        read_facts(case["config"]), shards=RANKS // case["replicas"], replicas=case["replicas"],
        strategy=case["strategy"], master=case["master"],
        lora=Lora(case["rank"]) if case["rank"] else None,
    )  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=_named)
def test_a_checkpoint_takes_what_verl_wrote(case: dict[str, Any]) -> None:
    """The files hold the names of tensors too, which are less than two per cent of so few."""
    said = contents(_engine(case))

    for name, written in case["bytes"].items():
        assert said[name] <= written <= 1.03 * said[name], name


def test_adapters_have_been_measured_in_both_ways_of_sharding() -> None:
    assert {one["strategy"] for one in CASES if one["rank"]} == {"fsdp", "fsdp2"}
    assert {one["replicas"] for one in CASES} == {1, 2}
