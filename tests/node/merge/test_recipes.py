"""Whole recipes, of the shapes that people write, beside mergekit's own planner: equal weights."""

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from mergekit.config import MergeConfiguration
from mergekit.merge import run_merge
from mergekit.options import MergeOptions
from safetensors.torch import load_file
from torch import Tensor
from trainyard_node.merge.merging import merge, plan
from trainyard_node.merge.recipe import read_recipe
from transformers import AutoConfig, AutoModelForCausalLM

CLOSE = 1e-6
LAYERS = 4
# A, B and C stand for the folders of three models, as do names in the recipes that people share.
RECIPES = {
    "linear with a gradient": """
        merge_method: linear
        models:
          - {model: A, parameters: {weight: [1.0, 0.4, 0.1]}}
          - {model: B, parameters: {weight: 0.7}}
        dtype: float32
    """,
    "linear with filters": """
        merge_method: linear
        models:
          - model: A
            parameters:
              weight:
                - {filter: self_attn, value: [0.1, 0.9]}
                - {filter: mlp, value: 0.3}
                - {value: 0.5}
          - {model: B, parameters: {weight: 0.6}}
        parameters: {normalize: false}
        dtype: float32
    """,
    "slerp with curves over the depth": """
        merge_method: slerp
        base_model: A
        slices:
          - sources:
              - {model: A, layer_range: [0, 4]}
              - {model: B, layer_range: [0, 4]}
        parameters:
          t:
            - {filter: self_attn, value: [0, 0.5, 0.3, 0.7, 1]}
            - {filter: mlp, value: [1, 0.5, 0.7, 0.3, 0]}
            - {value: 0.5}
        dtype: float32
    """,
    "slerp of whole models": """
        merge_method: slerp
        base_model: A
        models: [{model: A}, {model: B}]
        parameters: {t: [0.1, 0.6, 0.9]}
        dtype: float32
    """,
    "ties with densities and weights over the depth": """
        merge_method: ties
        base_model: A
        models:
          - {model: B, parameters: {density: [1, 0.7, 0.3], weight: 1.0}}
          - model: C
            parameters:
              density: 0.5
              weight: [{filter: mlp, value: 0.5}, {value: 0.25}]
        parameters: {normalize: true, int8_mask: true}
        dtype: float32
    """,
    "task arithmetic with a factor": """
        merge_method: task_arithmetic
        base_model: A
        models:
          - {model: B, parameters: {weight: 0.6}}
          - {model: C, parameters: {weight: [0, 0.3, 0.7, 1]}}
        parameters: {lambda: 0.8}
        dtype: float32
    """,
    "a stack of layers": """
        merge_method: passthrough
        slices:
          - sources: [{model: A, layer_range: [0, 3]}]
          - sources: [{model: B, layer_range: [1, 4]}]
        dtype: float32
    """,
    "a stack whose copies are scaled": """
        merge_method: passthrough
        slices:
          - sources: [{model: A, layer_range: [0, 3]}]
          - sources:
              - model: A
                layer_range: [2, 4]
                parameters:
                  scale:
                    - {filter: o_proj, value: 0.0}
                    - {filter: down_proj, value: 0.0}
                    - {value: 1.0}
        dtype: float32
    """,
    "slices of other bases and parameters": """
        merge_method: task_arithmetic
        base_model: A
        slices:
          - sources:
              - {model: A, layer_range: [0, 2]}
              - {model: B, layer_range: [0, 2], parameters: {weight: [0.2, 0.8]}}
          - base_model: B
            parameters: {weight: 0.4}
            sources:
              - {model: B, layer_range: [2, 4]}
              - {model: C, layer_range: [2, 4]}
        dtype: float32
    """,
    "model stock by rows": """
        merge_method: model_stock
        base_model: A
        models: [{model: B}, {model: C}]
        parameters: {filter_wise: true}
        dtype: float32
    """,
    "the middle on the sphere": """
        merge_method: karcher
        models: [{model: A}, {model: B}, {model: C}]
        parameters: {max_iter: 20, tol: 1e-6}
        dtype: float32
    """,
    "breadcrumbs": """
        merge_method: breadcrumbs_ties
        base_model: A
        models:
          - {model: B, parameters: {weight: 0.5, density: 0.8, gamma: [0.01, 0.1]}}
          - {model: C, parameters: {weight: 0.5, density: 0.6, gamma: 0.05}}
        dtype: float32
    """,
    "merged exactly and written short": """
        merge_method: linear
        models:
          - {model: A, parameters: {weight: 0.3}}
          - {model: C, parameters: {weight: 0.7}}
        dtype: float32
        out_dtype: bfloat16
    """,
}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    return {name: saved(folder / name, seed) for seed, name in enumerate("ABC")}


def saved(folder: Path, seed: int) -> Path:
    torch.manual_seed(seed)
    config = AutoConfig.for_model(
        "llama", architectures=["LlamaForCausalLM"], hidden_size=24, intermediate_size=40,
        num_hidden_layers=LAYERS, num_attention_heads=2, num_key_value_heads=1, vocab_size=61,
        tie_word_embeddings=False,
    )  # fmt: skip
    model: Any = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    with torch.no_grad():
        for each in model.parameters():
            each.copy_(torch.randn(each.shape) * 0.1)
    model.save_pretrained(folder)
    return folder


def by_mergekit(text: str, out: Path) -> dict[str, Tensor]:
    given = MergeConfiguration.model_validate(yaml.safe_load(text))
    run_merge(given, str(out), MergeOptions(quiet=True, copy_tokenizer=False))
    return {
        name: each for path in out.glob("*.safetensors") for name, each in load_file(path).items()
    }


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_gives_the_weights_that_mergekit_makes(
    name: str, models: dict[str, Path], tmp_path: Path
) -> None:
    text = RECIPES[name]
    for letter, folder in models.items():
        text = text.replace(f"model: {letter}", f"model: {folder}")
    merge(plan(read_recipe(text)), tmp_path / "ours")
    ours = load_file(tmp_path / "ours/model.safetensors")
    theirs = by_mergekit(text, tmp_path / "theirs")
    assert ours.keys() == theirs.keys()
    for key, tensor in theirs.items():
        assert ours[key].dtype == tensor.dtype
        # Of two results that differ by less than that, one may be rounded up to bfloat16.
        near = CLOSE + (tensor.abs() * 2**-8 if tensor.dtype == torch.bfloat16 else 0)
        assert ((ours[key].float() - tensor.float()).abs() <= near).all(), key
    loaded, found = AutoModelForCausalLM.from_pretrained(
        tmp_path / "ours", output_loading_info=True
    )
    assert not any(found[how] for how in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert loaded.generate(torch.tensor([[1, 2]]), max_new_tokens=2).shape[0] == 1
