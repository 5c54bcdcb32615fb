"""Recipes that name a model with an adapter in it, beside mergekit and beside two steps."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from lora_cases import check_near, merged_by_us, qwen, save_adapter, save_base, tensors_of
from mergekit.config import MergeConfiguration
from mergekit.merge import run_merge
from mergekit.options import MergeOptions
from trainyard_node.export.refused import Refused
from trainyard_node.lora.adapter import WEIGHTS
from trainyard_node.merge import inputs
from trainyard_node.merge.__main__ import main
from trainyard_node.merge.merging import merge, plan
from trainyard_node.merge.recipe import read_recipe
from trainyard_node.merge.stored import Stored
from trainyard_node.record import RUN_DIR
from transformers import AutoModelForCausalLM

ADAPTERS: dict[str, dict[str, Any]] = {
    "of two modules": {"target_modules": ["q_proj", "down_proj"], "r": 4},
    "of the embedding": {"target_modules": ["embed_tokens", "v_proj"], "r": 4},
    "with a whole head": {
        "target_modules": ["q_proj"], "r": 2, "modules_to_save": ["lm_head"], "use_rslora": True,
    },
    "with lengths": {"target_modules": ["k_proj"], "r": 2, "use_dora": True},
}  # fmt: skip


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    return {name: save_base(folder / name, qwen(), seed) for seed, name in enumerate("AB")}


def ties(one: str, other: str) -> str:
    return yaml.safe_dump(
        {
            "merge_method": "ties",
            "base_model": other,
            "models": [{"model": one, "parameters": {"weight": 0.6, "density": 0.5}}],
            "dtype": "float32",
        }
    )


@pytest.mark.parametrize("name", ADAPTERS)
@pytest.mark.parametrize("chunk", [inputs.CHUNK, 48])
def test_as_two_steps_and_as_mergekit(
    name: str, chunk: int, models: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In chunks of three rows as well."""
    monkeypatch.setattr(inputs, "CHUNK", chunk)
    adapter = save_adapter(models["A"], tmp_path / "adapter", **ADAPTERS[name])
    text = ties(f"{models['A']}+{adapter}", str(models["B"]))
    merge(plan(read_recipe(text)), tmp_path / "ours")
    first = merged_by_us(models["A"], tmp_path / "first", (adapter, 1.0))
    merge(plan(read_recipe(ties(str(first), str(models["B"])))), tmp_path / "steps")
    ours = tensors_of(tmp_path / "ours")
    check_near(ours, tensors_of(tmp_path / "steps"))
    options = MergeOptions(quiet=True, lora_merge_cache=str(tmp_path / "cache"))
    given = MergeConfiguration.model_validate(yaml.safe_load(text))
    run_merge(given, str(tmp_path / "theirs"), options)
    theirs = tensors_of(tmp_path / "theirs")
    assert ours.keys() == theirs.keys()
    check_near(ours, theirs)
    AutoModelForCausalLM.from_pretrained(tmp_path / "ours")


def test_the_head_of_a_tied_model_may_be_changed_alone(tmp_path: Path) -> None:
    base = save_base(tmp_path / "base", qwen(tied=True))
    adapter = save_adapter(base, tmp_path / "adapter", target_modules=["lm_head"], r=4)
    text = f"merge_method: passthrough\nmodels: [{{model: {base}+{adapter}}}]"
    merge(plan(read_recipe(text)), tmp_path / "ours")
    first = merged_by_us(base, tmp_path / "first", (adapter, 1.0))
    ours, expected = tensors_of(tmp_path / "ours"), tensors_of(first)
    assert ours.keys() == expected.keys()
    assert all(torch.equal(each, expected[name]) for name, each in ours.items())
    config = json.loads((tmp_path / "ours/config.json").read_text())
    assert config["tie_word_embeddings"] is False


def test_both_are_inputs(
    models: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapter = save_adapter(models["A"], tmp_path / "adapter", target_modules=["q_proj"], r=4)
    (tmp_path / "run").mkdir()
    monkeypatch.setenv(RUN_DIR, str(tmp_path / "run"))
    text = yaml.safe_dump(
        {
            "merge_method": "passthrough",
            "models": [{"model": {"model": {"path": str(models["A"])}, "lora": str(adapter)}}],
        }
    )
    assert main(["--text", text, "--out", str(tmp_path / "out")]) == 0
    made = json.loads((tmp_path / "run/events.jsonl").read_text().splitlines()[-1])
    own = sha256((adapter / WEIGHTS).read_bytes()).hexdigest()
    assert made["inputs"] == {str(models["A"]): Stored(models["A"]).digest(), str(adapter): own}
    card = (tmp_path / "out/README.md").read_text()
    assert all(f"SHA-256 `{each}`" in card for each in made["inputs"].values())
    with pytest.raises(Refused, match=r"lies in .*adapter, which is an input"):
        merge(plan(read_recipe(text)), adapter / "below")


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ("A+B+C", "A folder, or a folder and a LoRA adapter's"),
        ("A+", "is no model"),
        ("+A", "is no model"),
        ("{model: A, adapter: B}", "has no adapter"),
        ("{model: A, lora: 3}", "lora of model is a folder, not 3"),
    ],
)
def test_names_that_are_none(model: str, reason: str) -> None:
    with pytest.raises(Refused, match=f"(?i){reason}"):
        read_recipe(f"merge_method: passthrough\nmodels: [{{model: {model}}}]")


def test_an_adapter_that_does_not_fit_is_refused(models: dict[str, Path], tmp_path: Path) -> None:
    text = f"merge_method: passthrough\nmodels: [{{model: {models['A']}+{tmp_path}}}]"
    with pytest.raises(Refused, match="is no adapter"):
        plan(read_recipe(text))
