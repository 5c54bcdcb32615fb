"""The dry-fire of a training job: its two worst steps where it will run, with its own model."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from jobs.kinds.base import End, Phase, Report, Verdict
from jobs.kinds.trial import (
    TRAINERS,
    Trial,
    TrialSpec,
    folders_of,
    packages_of,
    plan_of,
    seconds_in,
)
from jobs.process import Command, Placement, Spread
from jobs.verl.algorithms import is_rl
from jobs.verl.command import build_command
from jobs.verl.engines import saved_a_weight
from jobs.verl.knobs import number
from jobs.verl.spec import TrainSpec
from jobs.verl.worst import DISTINCT, STEPS, not_tried, rows_of, worst

PARTS = (
    "config", "folders", "packages", "data", "training", "validation", "checkpoint", "memory",
)  # fmt: skip
FOLDER = "dryfire"  # below the run directory; ``trainyard_node.hooks.phases`` looks for it
MODELS = {"model_path": "model", "critic_model": "critic"}
SIZES = ("allocated", "reserved", "card")
MOST = 2**63 - 1  # bytes, or tokens
MOST_PHASES = 32


@dataclass(frozen=True)
class DryFireSpec(TrialSpec):
    @property
    def kind(self) -> str:
        return RAY.slug if is_rl(self.of) else TORCHRUN.slug


class DryFire(Trial):
    """As its job it runs on one node by torchrun, or by Ray on one or several: a kind of each."""

    parts: ClassVar[Sequence[str]] = PARTS
    told: ClassVar[str] = "dry_fired"
    asked: ClassVar[type[TrialSpec]] = DryFireSpec

    def __init__(self, slug: str, label: str, *, by_ray: bool) -> None:
        self.slug, self.label = slug, label  # type: ignore[misc]
        self.one_node, self.starts_ray = not by_ray, by_ray  # type: ignore[misc]

    def command(
        self, spec: DryFireSpec, placement: Placement, origins: Mapping[str, str]
    ) -> Command:
        folder = f"{placement.run_dir}/{FOLDER}"
        job = spec.training
        made = worst(job)
        files = {f"{name}_files": f"{folder}/{name}.parquet" for name in ("train", "val")}
        made = replace(made, values={**made.values, **files})
        own = build_command(made, replace(placement, run_dir=folder, resume_from=""), {})
        nodes = placement.spread.nodes if placement.spread else 1
        plan = {**_plan(job, made), "folder": folder, "machines": nodes}
        argv = (placement.python, "-m", "trainyard_node.dryfire", json.dumps(plan), "--")
        return Command((*argv, *own.argv), own.env, placement.run_dir, own.settings)

    def judge(self, spec: DryFireSpec, end: End) -> Verdict:
        """Where no GPU is to have, nothing can be measured, and the rest is worth what it is."""
        lines = {line.name: line for line in self.lines(end.said)}
        memory = lines.get("memory")
        others = [line for name, line in lines.items() if name != "memory"]
        rest_passed = len(others) == len(PARTS) - 1 and all(
            line.state in ("passed", "warned") for line in others
        )
        if end.exit_code == 0 and rest_passed and memory and memory.state == "skipped":
            status = "failed" if self.devices(spec) else "completed"
            return Verdict(status, f"All parts passed but memory. {memory.said.rstrip('.')}.")
        return super().judge(spec, end)

    def devices(self, spec: DryFireSpec) -> int:
        return TRAINERS[spec.of].devices(spec.training) if spec.of in TRAINERS else 0

    def ranks(self, spec: DryFireSpec) -> int:
        return TRAINERS[spec.of].ranks(spec.training) if spec.of in TRAINERS else 1

    def devices_at_start(self, spec: DryFireSpec) -> int:
        return TRAINERS[spec.of].devices_at_start(spec.training) if spec.of in TRAINERS else 0

    def spread(self, spec: DryFireSpec, nodes: Sequence[int]) -> Spread:
        return TRAINERS[spec.of].spread(spec.training, nodes)

    def report(self, spec: DryFireSpec, said: Mapping[str, Mapping[str, Any]]) -> Report:
        told = said.get(self.told, {})
        phases = told.get("phases")
        rows = phases if isinstance(phases, list) else []
        found = [_phase(one) for one in rows if _is_phase(one)][:MOST_PHASES]
        return replace(
            super().report(spec, said),
            phases=tuple(found),
            limit=_size(told.get("limit")) or None,
            longest=_size(told.get("longest")) or None,
        )

    def not_tried(self, spec: DryFireSpec) -> Iterator[str]:
        yield from not_tried(spec.training)

    def release(self, spec: DryFireSpec) -> str:
        return spec.training.verl


RAY = DryFire("dryfire", "Dry-fire", by_ray=True)
TORCHRUN = DryFire("dryfire_torchrun", "Dry-fire (SFT, DPO)", by_ray=False)


def _plan(job: TrainSpec, made: TrainSpec) -> dict[str, Any]:
    """What the node is to try: ``trainyard_node.rehearse.plan`` reads it."""
    return {
        **plan_of(job, made),
        "models": {
            folder: {"source": str(job.values[name]), "target": str(job.values[name])}
            for name, folder in MODELS.items()
            if job.values.get(name)
        },
        "saved": saved_a_weight(job),
        "resume": (),
        "steps": STEPS,
        "rows": rows_of(job),
        "val_rows": number(job, "train_batch_size"),
        "distinct": DISTINCT,
        "answer": number(job, "max_response_length") if is_rl(job.kind) else 0,
        "packages": packages_of(made),
        "folders": folders_of(job),
        "minutes": 24 * 60,  # whoever dry-fires may stop it
    }


def _is_phase(told: Any) -> bool:
    return isinstance(told, dict) and isinstance(told.get("phase"), str)


def _phase(told: Mapping[str, Any]) -> Phase:
    """A run may write anything: what is no number of bytes or seconds is not known."""
    return Phase(
        name=told["phase"],
        seconds=seconds_in(told.get("seconds")),
        failed=told.get("failed") is True,
        ran_out=told.get("ran_out") is True,
        **{name: _size(told.get(name)) for name in SIZES},
    )


def _size(told: Any) -> int | None:
    return told if type(told) is int and 0 <= told <= MOST else None
