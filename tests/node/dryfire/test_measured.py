"""What a dry-fire makes of the lines of its hooks, and of memory that ran out."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from trainyard_node.dryfire import measured, training, watch
from trainyard_node.hooks import phases
from trainyard_node.rehearse import legs
from trainyard_node.rehearse.plan import Doubt, Fault, Plan, Untried
from trainyard_node.rehearse.told import Told

GIB = 1 << 30
SIZES: dict[str, Any] = {
    "allocated": 20 * GIB,
    "reserved": 25 * GIB,
    "others": 5 * GIB,
    "total": 80 * GIB,
}


def write(path: Path, *lines: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def line(at: float, phase: str, state: str, *, by: str = "worker", **more: Any) -> dict[str, Any]:
    pid = 1 if by == "driver" else 2
    return {
        "at": at, "phase": phase, "state": state, "pid": pid, "by_worker": by == "worker", **more,
    }  # fmt: skip


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return Plan(str(tmp_path), "rl", "", (), (), {}, {}, 2, 8, 4, 4, 32, "error", answer=8)


def told(plan: Plan, *lines: Mapping[str, Any]) -> None:
    write(plan.root / phases.FILE, *lines)


def test_a_phase_has_its_highest_peak_and_its_last_seconds(plan: Plan) -> None:
    larger = {**SIZES, "reserved": 40 * GIB}
    told(
        plan,
        line(1, "update", "began", by="driver"), line(1, "update", "began"),
        line(2, "update", "ended", seconds=1, **larger),
        line(3, "update", "ended", by="driver", seconds=2),
        line(4, "update", "began", by="driver"), line(4, "update", "began"),
        line(5, "update", "ended", seconds=0.8, **SIZES),
        line(6, "update", "ended", by="driver", seconds=0.9),
    )  # fmt: skip
    write(plan.root / legs.METRICS, {"step": 2, "data": {"prompt_length/max": 13.0}})
    assert measured.found(plan) == {
        "phases": [
            {
                "phase": "update", "seconds": 0.9, "allocated": 20 * GIB, "reserved": 40 * GIB,
                "card": 45 * GIB, "failed": False, "ran_out": False,
            }
        ],
        "limit": 80 * GIB,
        "longest": 13,
    }  # fmt: skip
    assert measured.check_memory(plan) == (
        "The peak is 45.0 of 80.0 GiB of a card, in the phase update."
    )


def test_what_the_engine_of_the_rollout_took_is_seen_on_the_card(plan: Plan) -> None:
    told(
        plan,
        line(10, "rollout", "began", by="driver"),
        line(20, "rollout", "ended", by="driver", seconds=10),
        line(30, "weight_sync", "began"), line(31, "weight_sync", "ended", seconds=1, **SIZES),
    )  # fmt: skip
    cards = [{"at": at, "used": used * GIB, "total": 80 * GIB} for at, used in
             ((5, 50), (12, 70), (25, 12), (30.5, 26), (40, 79))]  # fmt: skip
    write(plan.root / watch.FILE, *cards)
    found = {row["phase"]: row["card"] for row in measured.found(plan)["phases"]}
    assert found == {"rollout": 70 * GIB, "weight_sync": 26 * GIB}


def test_a_card_that_is_nearly_full_is_a_doubt(plan: Plan) -> None:
    full = {**SIZES, "reserved": 72 * GIB}
    told(plan, line(1, "update", "began"), line(2, "update", "ended", seconds=1, **full))
    with pytest.raises(Doubt, match=r"77\.0 of 80\.0 GiB"):
        measured.check_memory(plan)


def test_without_a_gpu_memory_is_not_tried_and_says_why(plan: Plan) -> None:
    told(plan, line(1, "update", "began"), line(2, "update", "ended", seconds=1))
    with pytest.raises(Untried, match="No GPU was there to measure"):
        measured.check_memory(plan)
    assert measured.found(plan)["phases"][0]["card"] is None
    told(plan, line(1, "update", "began", by="driver"), line(2, "update", "ended", by="driver"))
    with pytest.raises(Untried, match="The figures of its workers did not arrive"):
        measured.check_memory(plan)
    told(plan)
    with pytest.raises(Untried, match="No phase was measured"):
        measured.check_memory(plan)


OOM = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. (Exit code 1.)"


@pytest.mark.parametrize(
    ("lines", "where"),
    [
        (
            [
                line(1, "log_prob", "began"), line(2, "log_prob", "ended"),
                line(3, "update", "began"),
                line(4, "update", "failed", error="OutOfMemoryError: CUDA out of memory"),
            ],
            "in the phase update",
        ),
        (  # the engine of the rollout has no hook: its driver tells what it waited for
            [
                line(1, "weight_sync", "began"), line(2, "weight_sync", "ended"),
                line(3, "rollout", "began", by="driver"),
            ],
            "in the phase rollout",
        ),
        ([], "before its first phase"),
    ],
)  # fmt: skip
def test_the_phase_in_which_memory_ran_out_is_named(
    plan: Plan, monkeypatch: pytest.MonkeyPatch, lines: list[Any], where: str
) -> None:
    def broken(*_: object) -> None:
        told(plan, *lines)
        raise Fault(OOM)

    monkeypatch.setattr(legs, "run", broken)
    with pytest.raises(Fault) as raised:
        training.check_training(plan)
    assert str(raised.value) == f"Memory ran out {where}. {OOM}"
    known = measured.found(plan).get("phases", [])
    assert [row["phase"] for row in known if row["ran_out"]] == [
        name for name in ("update", "rollout") if where.endswith(name)
    ]


def test_memory_that_ran_out_behind_another_error_is_named(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        told(
            plan,
            line(1, "critic", "began"),
            line(2, "update", "began"),
            line(3, "update", "failed", error="RuntimeError: the other side closed"),
            line(4, "critic", "failed", error="OutOfMemoryError: CUDA out of memory"),
        )
        raise Fault("ActorDiedError: the actor died. (Exit code 1.)")

    monkeypatch.setattr(legs, "run", broken)
    with pytest.raises(Fault, match=r"ran out in the phase critic\. OutOfMemoryError: CUDA"):
        training.check_training(plan)
    found = {
        row["phase"]: (row["failed"], row["ran_out"]) for row in measured.found(plan)["phases"]
    }
    assert found == {"critic": (True, True), "update": (True, False)}


@pytest.mark.parametrize(
    "fault",
    [
        "KeyError: 'x' (Exit code 1.)",
        "ray.exceptions.OutOfMemoryError: Task was killed due to the node running low on memory.",
    ],
)
def test_a_phase_that_broke_off_for_another_reason_did_not_run_out(
    plan: Plan, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    def broken(*_: object) -> None:
        told(
            plan,
            line(1, "rollout", "began", by="driver"),
            line(2, "update", "began"),
            line(3, "update", "failed", error="KeyError: 'x'", **SIZES),
        )
        raise Fault(fault)

    monkeypatch.setattr(legs, "run", broken)
    with pytest.raises(Fault):
        training.check_training(plan)
    found = {
        row["phase"]: (row["failed"], row["ran_out"]) for row in measured.found(plan)["phases"]
    }
    assert found == {"rollout": (True, False), "update": (True, False)}


HUGE = int("9" * 400)


@pytest.mark.parametrize(
    "bad",
    [
        {"at": None}, {"at": "1"}, {"at": HUGE}, {"at": float("nan")}, {"phase": None}, {"pid": []},
        {"reserved": "25"}, {"others": None}, {"total": 1.5}, {"seconds": "1"}, {"seconds": HUGE},
    ],
)  # fmt: skip
def test_a_line_that_is_not_whole_is_left_out(plan: Plan, bad: dict[str, Any]) -> None:
    good = line(2, "update", "ended", seconds=1, **SIZES)
    told(
        plan,
        line(1, "update", "began"),
        good,
        {**good, **bad},
        {"phase": "save"},
        {**good, "at": 3},
    )
    write(plan.root / watch.FILE, {"used": 3}, {"at": 1.5, **bad}, {"at": 2, "used": "1"})
    write(plan.root / legs.METRICS, {"step": 2, "data": {"prompt_length/max": float("inf")}})
    found = measured.found(plan)
    assert [(row["phase"], row["card"]) for row in found["phases"]] == [("update", 30 * GIB)]
    assert (found["limit"], found["longest"]) == (80 * GIB, None)
    assert measured.broke_in(plan.root) == ("", "")


def test_sizes_without_those_of_others_are_no_peak_of_the_card(plan: Plan) -> None:
    told(plan, line(2, "update", "ended", seconds=1, reserved=GIB))
    (row,) = measured.found(plan)["phases"]
    assert (row["reserved"], row["card"]) == (GIB, None)


def test_a_fault_in_the_figures_takes_no_part_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> dict[str, Any]:
        raise KeyError("at")

    monkeypatch.setenv("TRAINYARD_RUN_DIR", str(tmp_path))
    Told(("data",), "dryfire", "dry_fired", broken).part("data", "passed", "Good.", 1.0)
    events = [row for row in legs.lines_of(tmp_path / "events.jsonl") if row["kind"] == "dry_fired"]
    assert [row["parts"][0]["name"] for row in events] == ["data"]


def test_another_fault_is_told_as_it_is(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise Fault("KeyError: 'x' (Exit code 1.)")

    monkeypatch.setattr(legs, "run", broken)
    with pytest.raises(Fault, match=r"^KeyError: 'x' \(Exit code 1\.\)$"):
        training.check_training(plan)


@pytest.mark.parametrize("shortest", [8, 5])
def test_answers_that_ended_early_are_a_doubt(
    plan: Plan, monkeypatch: pytest.MonkeyPatch, shortest: int
) -> None:
    data = {"actor/loss": 1.0, "response_length/min": shortest}
    steps = [{"step": step, "data": data} for step in (1, 2)]
    monkeypatch.setattr(legs, "run", lambda *_: write(plan.root / legs.METRICS, *steps))
    if shortest == 8:
        assert training.check_training(plan) == "2 steps ran to their end."
    else:
        with pytest.raises(Doubt, match="an answer ended after 5 tokens of 8"):
            training.check_training(plan)
    assert (plan.root / phases.FILE).is_file()


@pytest.mark.parametrize(
    ("text", "numbers"), [(None, None), ("", None), ("2,3", {2, 3}), ("GPU-12ab", None)]
)
def test_the_cards_of_a_run(text: str | None, numbers: set[int] | None) -> None:
    assert watch.visible(text) == numbers


def test_the_watch_writes_what_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    used = iter([10 * GIB, 10 * GIB + 1, 30 * GIB])

    class FakeGpus:
        def read(self) -> list[dict[str, Any]]:
            here = next(used, None)
            cards = [(0, here), (1, 70 * GIB)]  # the second is another run's
            return [
                {"index": at, "memory_used": size, "memory_total": 80 * GIB} for at, size in cards
            ]

    monkeypatch.setattr(watch, "Gpus", FakeGpus)
    monkeypatch.setattr(watch, "EVERY", 0.001)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    with watch.Watch(tmp_path) as found:
        found._thread.join(10)  # it ends where no card can be read any more
    assert [row["used"] for row in legs.lines_of(tmp_path / watch.FILE)] == [10 * GIB, 30 * GIB]
