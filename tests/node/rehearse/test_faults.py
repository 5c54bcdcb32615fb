"""Faults that were planted in a job are found by the parts that need no training."""

from pathlib import Path
from typing import Any

import pytest
from rehearsal_faults import Planted, planted
from rehearsal_plans import Job, Plan, planned
from trainyard_node.rehearse import scoring
from trainyard_node.rehearse.__main__ import STAGES
from trainyard_node.rehearse.stages import tried
from trainyard_node.rehearse.told import FAILED, PASSED, WARNED

CHECKS = STAGES[0] | STAGES[1]


@pytest.fixture(scope="module")
def faults(
    samples: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[Planted, Plan]]:
    """Each planted fault, with the plan that the platform makes of its job."""
    folder = tmp_path_factory.mktemp("planted")
    found = planted(folder, Path(samples["directory"]))
    jobs = {name: fault.job for name, fault in found.items()} | {"none": Job()}
    plans = planned(jobs, samples["directory"], folder / "runs")
    none = Planted(Job(), "", "")
    return {name: (found.get(name, none), each.plan) for name, each in plans.items()}


def look(plan: Plan, part: str) -> tuple[str, str]:
    """What one part says. The reward needs the rows that the data's part writes."""
    plan.root.mkdir(parents=True, exist_ok=True)
    if part == "reward":
        assert tried(CHECKS["data"], plan)[0] == PASSED
    return tried(CHECKS[part], plan)


def test_every_planted_fault_is_found(
    faults: dict[str, tuple[Planted, Plan]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(scoring.SECONDS, "call", 1)
    monkeypatch.setitem(scoring.SECONDS, "total", 3)
    missed = {}
    for name, (fault, plan) in faults.items():
        if not fault.part:
            continue
        state, said = look(plan, fault.part)
        if state != (WARNED if fault.doubt else FAILED) or fault.words not in said:
            missed[name] = (state, said)
    assert not missed, "\n".join(f"{name}: {said}" for name, said in missed.items())
    assert len(faults) > 20


def test_nothing_is_found_where_nothing_is_planted(
    faults: dict[str, tuple[Planted, Plan]],
) -> None:
    _, plan = faults["none"]
    assert {part: look(plan, part)[0] for part in CHECKS} == dict.fromkeys(CHECKS, PASSED)
