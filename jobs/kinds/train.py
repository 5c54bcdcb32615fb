"""Training by verl: five algorithms, which are one kind of kind."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from jobs.kinds.base import (
    CHECKPOINTS,
    MODEL,
    USUAL,
    End,
    FileFact,
    JobKind,
    Product,
    Read,
    Reads,
    Verdict,
    ended_early,
)
from jobs.process import Command, Placement, Spread
from jobs.verl import resumable, saved_model
from jobs.verl.algorithms import ALGORITHMS, is_rl
from jobs.verl.checkpoints import NEWEST_STEP_FILE
from jobs.verl.command import build_command
from jobs.verl.key_metrics import KEY_METRICS
from jobs.verl.knobs import number
from jobs.verl.promise import planned_steps
from jobs.verl.spec import TrainSpec
from jobs.verl.spread import spread_over, takes_devices
from jobs.verl.startup import Phase, phases_of
from jobs.verl.timing import PARTS, Part
from jobs.verl.trackers import trackers_of
from jobs.verl.unread import without_effect
from jobs.verl.usual import unusual
from jobs.warning import FieldWarning, Range

TRAINED = "model_path"
FILES = ("train_files", "val_files", "reward_file")
MODELS = (TRAINED, "critic_model", "reward_model")
SAVED = Product(CHECKPOINTS, "checkpoints")


class Train(JobKind):
    """One algorithm; ``jobs.verl`` knows how verl is told to do it."""

    base_model: ClassVar[str] = TRAINED
    has_recipes: ClassVar[bool] = True
    can_rehearse = True
    panels: ClassVar[Sequence[str]] = ("charts", "timing", *USUAL[1:])

    def __init__(self, slug: str) -> None:
        facts = ALGORITHMS[slug]
        self.slug, self.label = slug, facts.label  # type: ignore[misc]
        self.one_node = facts.torchrun  # type: ignore[misc]
        self.starts_ray = not facts.torchrun  # type: ignore[misc]
        self.writes_answers = is_rl(slug)

    def read(self, data: Mapping[str, Any]) -> TrainSpec:
        return TrainSpec.from_json(self.slug, data)

    def command(self, spec: TrainSpec, placement: Placement, origins: Mapping[str, str]) -> Command:
        return build_command(spec, placement, dict(origins))

    def judge(self, spec: TrainSpec, end: End) -> Verdict:
        paused = end.said.get("paused", {}).get("step")
        if end.exit_code == 0 and end.steps and end.step >= end.steps:
            return Verdict("completed", f"{_whole(end.steps)} done{_but(end)}.")
        if end.exit_code == 0 and paused is not None:
            status, word = ("stopped", "Stopped") if end.then_stop else ("paused", "Paused")
            return Verdict(status, f"{word} after step {paused}, whose checkpoint is saved.")
        if end.exit_code == 0 and end.steps is None and not end.stop_asked:
            why = f"Ended without an error at step {end.step}, but promised no steps."
            return Verdict("failed", why)
        return ended_early(end)

    def devices(self, spec: TrainSpec) -> int:
        return number(spec, "gpus") if spec.values.get("device") == "cuda" else 0

    def ranks(self, spec: TrainSpec) -> int:
        return number(spec, "gpus")

    def devices_at_start(self, spec: TrainSpec) -> int:
        """torchrun's processes take theirs; verl's actors ask Ray for them."""
        return self.devices(spec) if self.one_node else 0

    def spread(self, spec: TrainSpec, nodes: Sequence[int]) -> Spread:
        if not takes_devices(spec):
            return Spread(1, self.ranks(spec))
        return spread_over(spec.kind, self.ranks(spec), nodes)

    def reads(self, spec: TrainSpec) -> Reads:
        given = {name: str(spec.values.get(name) or "") for name in (*FILES, *MODELS)}
        return Reads(
            files={name: given[name] for name in FILES if given[name]},
            models={name: given[name] for name in MODELS if given[name]},
        )

    def placed(self, spec: TrainSpec, paths: Mapping[str, str]) -> TrainSpec:
        return replace(spec, values={**spec.values, **paths})

    def makes(self, spec: TrainSpec) -> Sequence[Product]:
        if saved_model.leaves_no_model(spec):
            return (SAVED,)
        folder = saved_model.expected_folder(spec)
        return (SAVED, Product(MODEL, f"{SAVED.path}/{folder}"))

    def leaves_no_model(self, spec: TrainSpec) -> str:
        return saved_model.leaves_no_model(spec)

    def newest_model(self, files: Iterable[FileFact], read: Read) -> str | None:
        latest = read(NEWEST_STEP_FILE).decode("ascii", "replace").strip()
        return saved_model.newest_model(files, int(latest) if latest.isdecimal() else None, read)

    def cannot_save(self, spec: TrainSpec) -> str:
        return resumable.refusal(spec)

    def planned(self, lines: Iterable[str]) -> int | None:
        return planned_steps(lines)

    def values(self, spec: TrainSpec) -> Mapping[str, Any]:
        return spec.values

    def warnings(self, spec: TrainSpec, ranges: Mapping[str, Range]) -> Sequence[FieldWarning]:
        return [*unusual(spec, ranges), *without_effect(spec)]

    def key_metrics(self, spec: TrainSpec) -> Sequence[str]:
        return KEY_METRICS[self.slug]

    def step_parts(self, spec: TrainSpec) -> Sequence[Part]:
        return PARTS[self.slug]

    def phases(self, spec: TrainSpec) -> Sequence[Phase]:
        return phases_of(self.slug, spec.verl, spec.values)

    def release(self, spec: TrainSpec) -> str:
        return spec.verl

    def trackers(self, spec: TrainSpec) -> Sequence[str]:
        return [tracker.name for tracker in trackers_of(spec)]


FLAWS = {
    "answers_lost": "answers failed and were not trained on",
    "answers_cut": "answers were cut at their longest",
    "rows_cut": "rows were cut at their longest",
}


def _whole(steps: int) -> str:
    return "Its only step is" if steps == 1 else f"All {steps} steps"


def _but(end: End) -> str:
    """What went wrong in a run that did all its steps, as the last event of each kind says; a run
    may write anything there."""
    totals = {kind: end.said.get(kind, {}).get("total") for kind in FLAWS}
    flaws = [
        f"{total} {FLAWS[kind]}"
        for kind, total in totals.items()
        if type(total) is int and total > 0
    ]
    return f", but {' and '.join(flaws)}" if flaws else ""


TRAINING = tuple(map(Train, ALGORITHMS))
