"""Usual values: every number has them, no recipe leaves them; what is far outside is told."""

import pytest

from jobs.verl.algorithms import ALGORITHMS
from jobs.verl.knobs import KNOBS, knobs_of
from jobs.verl.recipes import all_recipes
from jobs.verl.spec import TrainSpec
from jobs.verl.usual import ANY, USUAL, unusual, usual_of
from jobs.warning import FieldWarning, Range

NUMBERS = {knob.name: knob for knob in KNOBS if knob.type in (int, float)}


def warned(kind: str, **values: float) -> list[str]:
    return [told.field for told in unusual(TrainSpec(kind, values), {})]


def test_every_number_has_usual_values_or_a_reason_for_none() -> None:
    assert set(USUAL) | set(ANY) == set(NUMBERS)
    assert not set(USUAL) & set(ANY)
    assert all(ANY.values())


def test_they_lie_within_what_the_form_takes_and_say_why() -> None:
    for kind in ALGORITHMS:
        for knob in knobs_of(kind):
            if not (usual := usual_of(knob.name, kind)):
                continue
            assert usual.low < usual.high
            assert usual.why.endswith(".")
            assert knob.minimum is None or knob.minimum <= usual.low or not usual.low, knob.name
            assert knob.maximum is None or usual.high <= knob.maximum, knob.name


@pytest.mark.parametrize("slug", all_recipes())
def test_no_recipe_is_unusual_itself(slug: str) -> None:
    recipe = all_recipes()[slug]
    spec = TrainSpec(recipe.kind, recipe.values)
    assert [*unusual(spec, recipe.ranges), *unusual(spec, {})] == []


@pytest.mark.parametrize("kind", ALGORITHMS)
@pytest.mark.parametrize("lr", [0.0, 1.0, 0.1, 1e-12])
def test_a_learning_rate_of_nothing_or_of_everything(kind: str, lr: float) -> None:
    assert warned(kind, lr=lr) == ["lr"]


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        ("sft", "clip_grad", 0.0),
        ("sft", "warmup_ratio", 1.0),
        ("sft", "epochs", 10_000),
        ("dpo", "beta", 100.0),
        ("grpo", "temperature", 10.0),
        ("grpo", "top_k", 1),
        ("grpo", "kl_loss_coef", 5.0),
        ("grpo", "clip_ratio", 1.0),
        ("gspo", "clip_ratio_high", 0.28),
        ("grpo", "most_lost", 1.0),
        ("ppo", "critic_lr", 1.0),
        ("ppo", "gamma", 0.0),
    ],
)
def test_far_outside(kind: str, name: str, value: float) -> None:
    assert warned(kind, **{name: value}) == [name]


def test_what_is_empty_or_usual_is_not_warned_of() -> None:
    assert warned("grpo") == []
    assert warned("grpo", lr=1e-6, clip_ratio_high=0.28, top_k=-1, seed=10**9, gpus=64) == []


def test_the_recipes_own_range_comes_first() -> None:
    spec = TrainSpec("grpo", {"lr": 1e-4})
    ranges = {"lr": Range(5e-7, 3e-6, "RL collapses above it.")}
    message = "Not 0.0001 but 5e-07 to 3e-06 is usual. RL collapses above it."
    assert list(unusual(spec, ranges)) == [FieldWarning("lr", message, "Learning rate")]
    assert list(unusual(spec, {})) == []
