"""What a dry-fire makes of the lines of its hooks, and of memory that ran out."""

import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from trainyard_node.dryfire import measured, training, watch
from trainyard_node.gpus import Gpus, NotRead
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
    watched(plan, (5, 50), (12, 70), (25, 12), (30.5, 26), (40, 79))
    found = {row["phase"]: row["card"] for row in measured.found(plan)["phases"]}
    assert found == {"rollout": 70 * GIB, "weight_sync": 26 * GIB}


def watched(plan: Plan, *seen: tuple[float, int], **more: Any) -> None:
    """What the watch saw of one card, in GiB."""
    path = plan.root / watch.FILE
    before = list(legs.lines_of(path))
    card = {"uuid": "GPU-1", "total": 80 * GIB, "named": True, **more}
    write(path, *before, *({**card, "at": at, "used": used * GIB} for at, used in seen))


def test_what_the_watch_saw_of_the_phase_before_is_not_of_this_one(plan: Plan) -> None:
    """A look comes after a while: of the two phases here only the first one took so much."""
    told(
        plan,
        line(1, "update", "began"), line(9.9, "update", "ended", seconds=8.9, **SIZES),
        line(10, "log_prob", "began"), line(10.1, "log_prob", "ended", seconds=0.1, **SIZES),
        line(10.1, "rollout", "began", by="driver"),
        line(20, "rollout", "ended", by="driver", seconds=9.9),
        line(20, "validation", "began", by="driver"),
        line(29, "validation", "ended", by="driver", seconds=9),
    )  # fmt: skip
    watched(plan, (5, 78), (10.05, 77), (10.2, 40))
    found = {row["phase"]: row["card"] for row in measured.found(plan)["phases"]}
    own = 30 * GIB
    assert found == {"update": own, "log_prob": own, "rollout": 40 * GIB, "validation": 40 * GIB}


def test_cards_of_other_jobs_are_not_looked_at(plan: Plan) -> None:
    rollout = (
        line(1, "rollout", "began", by="driver"),
        line(9, "rollout", "ended", by="driver", seconds=8),
    )
    told(plan, *rollout)
    watched(plan, (2, 30))
    watched(plan, (2, 75), uuid="GPU-2", named=False)
    assert [row["card"] for row in measured.found(plan)["phases"]] == [30 * GIB]
    told(plan, *rollout, line(10, "update", "ended", seconds=1, uuid="GPU-2", **SIZES))
    found = {row["phase"]: row["card"] for row in measured.found(plan)["phases"]}
    assert found["rollout"] == 75 * GIB  # a worker says that it is its own
    (plan.root / watch.FILE).unlink()
    watched(plan, (2, 75), named=False)
    told(plan, *rollout)
    assert measured.found(plan)["phases"][0]["card"] is None


def test_looks_that_failed_are_told(plan: Plan) -> None:
    told(plan, line(1, "update", "began"), line(2, "update", "ended", seconds=1, **SIZES))
    write(plan.root / watch.FILE, {"failed": 3, "looks": 1200})
    assert measured.check_memory(plan).endswith(
        "in the phase update. 3 of 1,200 looks at the cards failed, so that the peak of a phase "
        "without a figure of its workers may have been higher."
    )


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
    ("text", "named"),
    [
        (None, False),
        ("", False),
        ("2,3", True),
        ("12", False),
        ("GPU-12ab", True),
        ("GPU-9", False),
    ],
)
def test_the_cards_of_a_run(text: str | None, named: bool) -> None:
    assert watch.is_named({"index": 2, "uuid": "GPU-12ab-34"}, text) == named


def test_the_watch_writes_what_changed_and_goes_on_after_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[int | None] = [10 * GIB, None, 10 * GIB + 1, 30 * GIB]

    class FakeGpus:
        def memory(self) -> list[dict[str, Any]]:
            if not looks:
                return []
            if (here := looks.pop(0)) is None:
                raise NotRead("a driver that is busy")
            cards = [(0, here), (1, 70 * GIB)]  # the second is another run's
            return [
                {"index": at, "uuid": f"GPU-{at}", "used": size, "total": 80 * GIB}
                for at, size in cards
            ]

    monkeypatch.setattr(watch, "Gpus", FakeGpus)
    monkeypatch.setattr(watch, "EVERY", 0.001)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    with watch.Watch(tmp_path) as found:
        found._thread.join(10)  # it ends where there is no card
    lines = list(legs.lines_of(tmp_path / watch.FILE))
    own = [row["used"] for row in lines if row.get("named")]
    assert own == [10 * GIB, 30 * GIB]
    assert [row["uuid"] for row in lines if row.get("named") is False] == ["GPU-1"]
    assert (lines[-1]["failed"], lines[-1]["looks"]) == (1, 5)


class FakeError(Exception):
    pass


class FakeNvml:
    """Two cards, of which ``deaf`` do not answer."""

    NVMLError = FakeError

    def __init__(self, *deaf: int) -> None:
        self.deaf = deaf

    def nvmlDeviceGetCount(self) -> int:
        return 2

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        return index

    def nvmlDeviceGetUUID(self, handle: int) -> str:
        return f"GPU-{handle}"

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> Any:
        if handle in self.deaf:
            raise FakeError("GPU is lost")
        return SimpleNamespace(used=handle * GIB, total=80 * GIB)


def test_the_memory_of_cards_as_their_driver_tells_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(*deaf: int) -> list[dict[str, Any]]:
        gpus = Gpus()
        monkeypatch.setattr(gpus, "_load", lambda: FakeNvml(*deaf))
        return gpus.memory()

    second = {"index": 1, "uuid": "GPU-1", "used": GIB, "total": 80 * GIB}
    assert read()[1] == second
    assert read(0) == [second]
    with pytest.raises(NotRead, match="GPU is lost"):
        read(0, 1)
