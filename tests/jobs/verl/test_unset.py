"""What an empty field stands for: the value, and who sets it."""

from pathlib import Path
from typing import Any

import pytest

from jobs.process import Placement
from jobs.verl.algorithms import ALGORITHMS
from jobs.verl.command import build_command
from jobs.verl.diff import run_of
from jobs.verl.knobs import knobs_of
from jobs.verl.spec import TrainSpec
from jobs.verl.unset import UNKNOWN, words_of_unset

SCHEMA = Path(__file__).resolve().parents[3] / "environments"


def words(kind: str, verl: str = "0.9.1", **values: Any) -> dict[str, str]:
    spec = TrainSpec(kind, {"device": "cuda", **values}, (), verl)
    command = build_command(spec, Placement("/runs/1", "python", "x"), {})
    return words_of_unset(run_of(spec, command.settings, SCHEMA))


@pytest.mark.parametrize("kind", ALGORITHMS)
def test_every_optional_knob_says_a_value(kind: str) -> None:
    said = words(kind)
    optional = {knob.name for knob in knobs_of(kind) if not knob.required}
    assert set(said) == optional
    assert [name for name, text in said.items() if text == UNKNOWN] == []


@pytest.mark.parametrize(
    ("kind", "values", "name", "text"),
    [
        ("grpo", {}, "clip_ratio_high", "verl: 0.2"),
        ("grpo", {"variant": "dapo"}, "clip_ratio_high", "DAPO: 0.28"),
        ("grpo", {"clip_ratio": 0.3}, "clip_ratio_high", "Clip ratio: 0.3"),
        ("gspo", {}, "clip_ratio_low", "GSPO: 0.0003"),
        ("grpo", {}, "variant", "verl: GRPO"),
        ("grpo", {}, "most_lost", "Trainyard: 0.5"),
        ("grpo", {}, "overlong_buffer", "none"),
        ("sft", {}, "dynamic_batch", "Trainyard: false"),
        ("sft", {}, "dtype", "verl: bfloat16"),
        ("sft", {"device": "cpu"}, "dtype", "Trainyard: float32"),
        ("sft", {}, "save_contents", "verl: model, optimizer, extra"),
        ("ppo", {"micro_batch_size": 7}, "critic_micro_batch_size", "Trainyard: 7"),
    ],
)
def test_the_value_is_the_one_that_the_command_leads_to(
    kind: str, values: dict[str, Any], name: str, text: str
) -> None:
    assert words(kind, **values)[name] == text


def test_what_is_set_says_nothing() -> None:
    assert "clip_ratio" not in words("grpo", clip_ratio=0.3)


def test_an_older_release_has_its_own_defaults() -> None:
    assert words("sft", "0.7.1")["weight_decay"].startswith("verl: ")
