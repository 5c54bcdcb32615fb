from pathlib import Path

import pytest

from jobs.process import Placement
from jobs.verl.batches import check_batches
from jobs.verl.command import build_command
from jobs.verl.contradictions import check_contradictions
from jobs.verl.overrides import parse
from jobs.verl.recipes import all_recipes, read
from jobs.verl.schema import load

SCHEMA = Path(__file__).resolve().parents[3] / "environments"
PLACES = {"samples": "/home/samples", "rewards": "/node/rewards"}
RECIPES = [
    "dapo-32b", "dapo", "dpo-lora", "dpo", "grpo-7b", "grpo-lora", "grpo", "gspo-moe", "ppo",
    "sft-large", "sft-lora", "sft",
    "sample-dpo", "sample-grpo", "sample-gspo", "sample-ppo", "sample-sft",
]  # fmt: skip


def test_all_are_there_samples_last() -> None:
    assert list(all_recipes()) == RECIPES


@pytest.mark.parametrize("slug", RECIPES)
def test_each_says_what_it_is_for(slug: str) -> None:
    recipe = all_recipes()[slug]
    assert recipe.title
    assert recipe.purpose.endswith(".")
    assert recipe.needs.endswith(".")
    assert recipe.data.endswith(".")
    assert recipe.sizes
    assert recipe.tips
    assert bool(recipe.gpu_floor) is not recipe.is_sample
    assert all(usual.low < usual.high for usual in recipe.ranges.values())
    assert all(recipe.values.get(name, usual.low) in usual for name, usual in recipe.ranges.items())
    assert recipe.is_sample is slug.startswith("sample-")


@pytest.mark.parametrize("slug", RECIPES)
def test_each_composes_against_verls_own_keys(slug: str) -> None:
    spec = all_recipes()[slug].spec(PLACES)
    command = build_command(spec, Placement("/runs/1", "python", "x"), {})
    schema = load(SCHEMA, spec.kind)
    texts = [setting.text for setting in command.settings]
    # What Ray, Hydra and FSDP are given as it is, past verl's own keys.
    foreign = ("+ray_kwargs.ray_init.", "hydra.run.dir=")
    texts = [t for t in texts if not t.startswith(foreign) and ".mixed_precision=" not in t]
    problems = [schema.problem(parse(text)) for text in texts]
    assert [problem for problem in problems if problem] == []


def test_folder_names_are_filled_in() -> None:
    values = all_recipes()["sample-grpo"].spec(PLACES).values
    assert values["train_files"] == "/home/samples/rl/train.parquet"
    assert values["model_path"] == "/home/samples/model-warm"
    assert values["reward_file"] == "/node/rewards/arithmetic.py"
    assert values["engine"] == "hf"


def test_a_knob_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(
        'kind = "sft"\ntitle = "x"\npurpose = "x"\nneeds = "x"\n[values]\nrollout_n = 8\n'
    )
    with pytest.raises(ValueError, match=r"bad\.toml: sft has no knob rollout_n"):
        read(path)


@pytest.mark.parametrize("slug", RECIPES)
def test_each_passes_every_check_that_needs_no_files(slug: str) -> None:
    spec = all_recipes()[slug].spec(PLACES)
    assert [*check_contradictions(spec), *check_batches(spec)] == []
