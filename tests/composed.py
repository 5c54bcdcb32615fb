"""Commands of every recipe x algorithm x method x release; `python -m tests.composed` prints them.

For each kind and release there is also a run with every knob set. Each recipe is also tried as
every other kind that reads the same sort of data, with the further settings that this kind needs.
This module needs no Django, so that the tests of the training environment can use it.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace

from jobs.process import Placement
from jobs.verl.algorithms import ALGORITHMS, RL, SUPERVISED
from jobs.verl.command import build_command
from jobs.verl.knobs import Knob, knobs_of
from jobs.verl.recipes import Recipe, all_recipes
from jobs.verl.releases import RELEASES, refusal
from jobs.verl.spec import LATEST, TrainSpec, Value
from jobs.verl.variants import VARIANTS

PLACES = {"samples": "/home/samples", "rewards": "/node/rewards"}
PLACEMENT = Placement("/runs/attempt-1", "/venv/bin/python", "a-run")
# Values that a form requires and a recipe leaves to the user, or that another kind requires.
FILLED: dict[str, Value] = {
    "train_files": "/data/train.parquet",
    "val_files": "/data/val.parquet",
    "model_path": "/models/tiny",
    "dpo_loss": "sigmoid",
    "beta": 0.1,
}
EVERY_KNOB = "every-knob"
LACKED = ("filter_groups", "filter_metric", "most_lost")  # lacked before 0.9
ON_A_GPU: dict[str, Value] = {"device": "cuda", "engine": "vllm"}


@dataclass(frozen=True)
class Case:
    recipe: str
    variant: str  # empty for a kind without variants
    spec: TrainSpec

    @property
    def name(self) -> str:
        parts = (self.recipe, self.spec.kind, self.variant, self.spec.verl)
        return "-".join(part for part in parts if part)

    @property
    def overrides(self) -> list[str]:
        """The overrides of the command. Raises `ValueError` if the release refuses."""
        return [setting.text for setting in build_command(self.spec, PLACEMENT, {}).settings]


def cases() -> Iterator[Case]:
    yield from with_every_knob()
    for recipe in all_recipes().values():
        for kind in RL if recipe.kind in RL else SUPERVISED:
            for variant in VARIANTS if kind == "grpo" else ("",):
                for release in RELEASES:
                    yield Case(recipe.slug, variant, spec_of(recipe, kind, variant, release))


def with_every_knob() -> Iterator[Case]:
    """A run of each kind with all its knobs set, but for those that its release lacks."""
    for kind in ALGORITHMS:
        for release in RELEASES:
            values = {
                knob.name: legal(knob)
                for knob in knobs_of(kind)
                if release == LATEST or knob.name not in LACKED
            }
            yield Case(EVERY_KNOB, "", TrainSpec(kind, values, (), release))


def legal(knob: Knob) -> Value:
    if knob.choices:
        return ",".join(knob.choices) if knob.type is list else knob.choices[0]
    if knob.type is bool:
        return True
    if knob.type is str:
        return "/somewhere"
    value = max(knob.minimum or 0, min(1, knob.maximum or 1))
    return int(value) if knob.type is int else float(value)


def spec_of(recipe: Recipe, kind: str, variant: str, release: str) -> TrainSpec:
    """The recipe as this kind; on a GPU if the release cannot train on the CPU."""
    spec = recipe.spec(PLACES)
    values = {**FILLED, **spec.values}
    if refusal("sft", release, str(values["device"])):
        values |= ON_A_GPU
    if variant:
        values |= {"variant": variant}
    had = {knob.name for knob in knobs_of(kind)}
    mine = {name: value for name, value in values.items() if name in had}
    return replace(spec, kind=kind, values=mine, verl=release)


def main() -> None:
    """Print the cases that compose: name, release, trainer's configuration and overrides."""
    found = []
    for case in cases():
        if refusal(case.spec.kind, case.spec.verl):
            continue
        try:
            overrides = case.overrides
        except ValueError:  # tests/jobs/verl/test_compose.py lists those that may be refused
            continue
        config = ALGORITHMS[case.spec.kind].config
        found.append((case.name, case.spec.verl, config, overrides))
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
