"""The rehearsal of a training job: its own settings on this machine's CPU, with a small model."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from jobs.kinds.trial import (
    Trial,
    TrialSpec,
    adapter_packages,
    folders_of,
    packages_of,
    plan_of,
)
from jobs.process import Command, Placement
from jobs.verl import resumable
from jobs.verl.algorithms import is_rl
from jobs.verl.command import build_command
from jobs.verl.knobs import number, value_of
from jobs.verl.overrides import below
from jobs.verl.small import STEPS, VALIDATED, not_tried, rows_of, small
from jobs.verl.spec import LATEST, TrainSpec

PARTS = (
    "config", "folders", "packages", "model", "data", "reward", "training", "validation",
    "checkpoint", "resume",
)  # fmt: skip
FOLDER = "rehearsal"  # below the run directory
# A model of the job, and the folder of its small copy.
SMALL = {"model_path": "model", "critic_model": "critic"}
REWARD_KWARGS = "reward.custom_reward_function.reward_kwargs"


@dataclass(frozen=True)
class RehearsalSpec(TrialSpec):
    """``is_here``: the job itself is to run on this machine too, with the same packages."""

    is_here: bool = True

    @property
    def kind(self) -> str:
        return Rehearsal.slug


class Rehearsal(Trial):
    slug: ClassVar[str] = "rehearsal"
    label: ClassVar[str] = "Rehearsal"
    starts_ray: ClassVar[bool] = True
    parts: ClassVar[Sequence[str]] = PARTS
    told: ClassVar[str] = "rehearsed"
    asked: ClassVar[type[TrialSpec]] = RehearsalSpec

    def command(
        self, spec: RehearsalSpec, placement: Placement, origins: Mapping[str, str]
    ) -> Command:
        folder = f"{placement.run_dir}/{FOLDER}"
        inner = replace(placement, run_dir=folder, devices=(), resume_from="", spread=None)
        train = _here(small(spec.training), folder)
        first = build_command(train, inner, {})
        saved = f"{folder}/checkpoints/global_step_{STEPS}"
        goes_on = replace(train, values={**train.values, "steps": STEPS + 1})
        second = build_command(goes_on, replace(inner, resume_from=saved), {})
        resume = [text for text in second.argv if text not in first.argv]
        plan = {**_plan(spec, train), "folder": folder, "resume": resume}
        argv = (placement.python, "-m", "trainyard_node.rehearse", json.dumps(plan), "--")
        return Command((*argv, *first.argv), first.env, placement.run_dir, first.settings)

    def not_tried(self, spec: RehearsalSpec) -> Iterator[str]:
        yield from not_tried(spec.training)
        if not spec.is_here:
            yield "The job's own machine: its packages, folders and network."
        if spec.training.verl != LATEST:
            yield f"verl {spec.training.verl}, which the job's machine has: verl {LATEST} ran."

    def release(self, spec: RehearsalSpec) -> str:
        return LATEST


def _here(spec: TrainSpec, folder: str) -> TrainSpec:
    """The spec with the small copies in place of what the job reads."""
    values = dict(spec.values)
    values |= {name: f"{folder}/{below}" for name, below in SMALL.items() if values.get(name)}
    values |= {"train_files": f"{folder}/train.parquet", "val_files": f"{folder}/val.parquet"}
    return replace(spec, values=values, verl=LATEST)


def _plan(spec: RehearsalSpec, made: TrainSpec) -> dict[str, Any]:
    """What the node is to try: ``trainyard_node.rehearse.plan`` reads it."""
    job = spec.training
    is_prompt = is_rl(job.kind)
    return {
        **plan_of(job, made),
        "models": {
            SMALL[name]: {"source": str(job.values[name]), "target": str(made.values[name])}
            for name in SMALL
            if job.values.get(name)
        },
        "steps": STEPS,
        "rows": rows_of(made),
        "val_rows": VALIDATED,
        "reward": _reward(job) if is_prompt else None,
        "metric": str(value_of(job, "filter_metric") or "") if is_prompt else "",
        "packages": packages_of(job) if spec.is_here else adapter_packages(job),
        "lora": str(value_of(job, "target_modules") or "") if number(job, "lora_rank", 0) else "",
        "folders": folders_of(job) if spec.is_here else {},
        "cannot_resume": resumable.refusal(replace(job, verl=LATEST)),
    }


def _reward(job: TrainSpec) -> dict[str, Any] | None:
    if value_of(job, "reward_model") and not value_of(job, "reward_file"):
        return None
    return {
        "path": str(value_of(job, "reward_file") or ""),
        "name": str(value_of(job, "reward_name") or "compute_score"),
        "kwargs": below(job.overrides, REWARD_KWARGS),
    }
