"""What every kind of job keeps to. A package's kind can be held to the same by adding a spec."""

import json
from typing import Any

import pytest

from compute.runners.removing import check_removable
from evaluations.kinds.evaluate import EvaluateSpec
from jobs.artifacts.keeping import KINDS as KEPT
from jobs.kinds import dryfire
from jobs.kinds.base import ADAPTER, CHECKPOINTS, MODEL, PANELS, REPORT, End, JobKind
from jobs.kinds.dryfire import DryFireSpec
from jobs.kinds.export import ExportSpec
from jobs.kinds.imported import ImportedSpec
from jobs.kinds.registry import kind_of, registry
from jobs.kinds.rehearsal import PARTS, RehearsalSpec
from jobs.process import Command, Placement
from surgery.kinds.average import AverageSpec
from surgery.kinds.compare import CompareSpec
from surgery.kinds.convert import ConvertSpec
from surgery.kinds.lora import LoraExtractSpec, LoraMergeSpec
from surgery.kinds.merge import MergeSpec
from tests.factories import VALUES, spec_of

KINDS = tuple(registry().kinds.values())  # with those that an app above brought
PLACE = Placement("/w/runs/u/attempt-1", "/venv/bin/python", "a-run")
SPECS: dict[str, Any] = {kind: spec_of(kind) for kind in VALUES} | {
    "export": ExportSpec(7, 20, "/w/runs/v/attempt-1/checkpoints/global_step_20"),
    "merge": MergeSpec("merge_method: linear"),
    "average": AverageSpec(
        "ema", [{"path": "/m/global_step_1", "step": 1}, {"path": "/m/b", "step": 2}], decay=0.5
    ),
    "lora_merge": LoraMergeSpec("/m/a", [{"path": "/m/lora", "weight": 0.5}]),
    "lora_extract": LoraExtractSpec("/m/a", "/m/b", rank=8),
    "convert": ConvertSpec("/m/global_step_1", layers=[0, 0, 1]),
    "compare": CompareSpec("/m/a", "/m/b"),
    "evaluate": EvaluateSpec(
        "/m/a",
        adapter="/m/lora",
        files=["/d/a.parquet", "/d/b.parquet"],
        reward_file="/d/reward.py",
        reward_kwargs={"scale": 2},
        task_files=["/d/own.yaml"],
        gpus=1,
        of_job=7,
        of_step=20,
    ),
    "rehearsal": RehearsalSpec(7, "grpo", spec_of("grpo").to_json()),
    "dryfire": DryFireSpec(7, "grpo", spec_of("grpo").to_json()),
    "imported": ImportedSpec("TensorBoard", "a-run", {"data.seed": 7}),
    "dryfire_torchrun": DryFireSpec(7, "sft", spec_of("sft").to_json()),
}
SAID: list[dict[str, dict[str, Any]]] = [
    {},
    {"paused": {"step": 3}},
    {"exported": {}},
    {"made": {}},
    {"made": {"error": "x"}},
    {"made": {"checkpoints": [3, {"share": "x", "state": []}]}},
    {"tried": {"candidates": [{"step": 1, "state": "kept", "score": 0.5}, {}]}},
    {"refused": {"message": "There is no model at /m"}},
    {"refused": {}},
    {"compared": {"whole": "x"}},
    {"evaluated": {"counts": {"prompts": 2, "too_long": 1}, "metrics": {"eval/score/mean": 0.5}}},
    {"evaluated": {"counts": {"prompts": "x", "failed_scores": []}, "metrics": 3}},
    {"rehearsed": {"parts": [{"name": name, "state": "passed", "said": "."} for name in PARTS]}},
    {"rehearsed": {"parts": [{"name": "data", "state": "failed", "said": "Too long"}, 3]}},
    {"rehearsed": {"parts": "x"}},
    {"dry_fired": {"parts": "x", "phases": "x", "limit": "x", "longest": True}},
    {"dry_fired": {"parts": [{"name": [], "state": "passed"}], "phases": [3, {"phase": 3}]}},
    *(
        {
            "dry_fired": {
                "parts": [
                    {"name": name, "state": "passed", "said": "."} for name in dryfire.PARTS[:-1]
                ]
                + [{"name": "memory", "state": state, "said": "None."}],
            }
        }
        for state in ("passed", "skipped")
    ),
    {"paused": {}},
]
ENDS = [
    End(code, step, steps, stop_asked, then_stop, said)
    for code in (0, 1, 137)
    for step, steps in ((0, None), (3, None), (3, 9), (9, 9))
    for stop_asked in (False, True)
    for then_stop in (False, True)
    for said in SAID
]
STATUSES = {"completed", "failed", "stopped", "paused"}


@pytest.fixture(params=KINDS, ids=lambda kind: kind.slug)
def kind(request: pytest.FixtureRequest) -> JobKind:
    found: JobKind = request.param
    return found


@pytest.fixture
def spec(kind: JobKind) -> Any:
    return SPECS[kind.slug]


def test_every_kind_has_a_spec_here() -> None:
    assert SPECS.keys() == {kind.slug for kind in KINDS}


def test_a_spec_comes_back_from_json_and_names_its_kind(kind: JobKind, spec: Any) -> None:
    assert kind.read(json.loads(json.dumps(spec.to_json()))) == spec
    assert spec.kind == kind.slug
    assert kind_of(spec) is kind


def test_what_a_spec_holds_beside_is_left_out(kind: JobKind, spec: Any) -> None:
    assert kind.read({**spec.to_json(), "of_a_later_version": 1}) == spec


def test_its_words(kind: JobKind) -> None:
    assert kind.label
    assert kind.unit
    assert kind.units


def test_its_panels_are_those_that_a_page_can_have(kind: JobKind) -> None:
    assert set(kind.panels) <= set(PANELS)
    assert len(kind.panels) == len(set(kind.panels))


def test_its_key_metrics_are_names(kind: JobKind, spec: Any) -> None:
    names = kind.key_metrics(spec)
    assert not [name for name in names if not name or " " in name]  # the page joins them by spaces
    assert len(names) == len(set(names))


def test_its_command_is_a_list_of_words_in_its_run_directory(kind: JobKind, spec: Any) -> None:
    if kind.ran_elsewhere:
        with pytest.raises(ValueError, match="never starts here"):
            kind.command(spec, PLACE, {})
        return
    command = kind.command(spec, PLACE, {})
    assert command.argv[0] == PLACE.python
    assert all(isinstance(part, str) for part in command.argv)
    assert all(isinstance(value, str) for value in command.env.values())
    assert command.cwd == PLACE.run_dir
    assert Command.from_json(json.loads(json.dumps(command.to_json()))).argv == command.argv


def test_what_it_makes_can_be_deleted(kind: JobKind, spec: Any) -> None:
    for product in kind.makes(spec):
        if product.sort in KEPT and not product.path.startswith("checkpoints/"):
            made = f"{PLACE.run_dir}/{product.path}"
            assert check_removable("/w", made) == made


def test_every_end_has_a_verdict_and_a_reason(kind: JobKind, spec: Any) -> None:
    for end in ENDS:
        verdict = kind.judge(spec, end)
        assert verdict.status in STATUSES, end
        assert verdict.reason.endswith("."), end


def test_exit_code_zero_alone_is_no_success(kind: JobKind, spec: Any) -> None:
    assert kind.judge(spec, End(0)).status == "failed"
    assert kind.judge(spec, End(0, 3, 9)).status == "failed"


def test_a_failure_is_never_a_success(kind: JobKind, spec: Any) -> None:
    for end in ENDS:
        if end.exit_code:
            assert kind.judge(spec, end).status in ("failed", "stopped"), end


def test_what_it_takes(kind: JobKind, spec: Any) -> None:
    assert kind.devices(spec) >= 0
    assert kind.ranks(spec) >= 1
    assert kind.devices_at_start(spec) <= kind.devices(spec)
    spread = kind.spread(spec, [8])
    assert spread.nodes == 1


def test_what_it_reads_can_be_put_elsewhere(kind: JobKind, spec: Any) -> None:
    reads = kind.reads(spec)
    names = [*reads.files, *reads.models]
    moved = kind.placed(spec, {name: f"/far/{name}" for name in names})
    there = kind.reads(moved)
    assert {**there.files, **there.models} == {name: f"/far/{name}" for name in names}
    assert there.inputs == reads.inputs
    assert not kind.base_model or kind.base_model in reads.models


def test_what_it_makes_lies_in_its_run_directory(kind: JobKind, spec: Any) -> None:
    for product in kind.makes(spec):
        assert product.sort in (CHECKPOINTS, MODEL, ADAPTER, REPORT)
        assert not product.path.startswith("/")
        assert ".." not in product.path.split("/")
    makes_model = any(product.sort == MODEL for product in kind.makes(spec))
    assert makes_model is not bool(kind.leaves_no_model(spec))


def test_no_model_is_found_among_no_files(kind: JobKind, spec: Any) -> None:
    assert kind.newest_model([], lambda name: b"") is None


def test_whether_it_can_save_is_a_sentence_or_nothing(kind: JobKind, spec: Any) -> None:
    reason = kind.cannot_save(spec)
    assert not reason or reason.endswith(".")


def test_its_settings_can_be_shown_and_compared(kind: JobKind, spec: Any) -> None:
    assert json.dumps(dict(kind.values(spec)))
