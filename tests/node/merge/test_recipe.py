"""Recipes as mergekit writes them are read; what is wrong in one is said with its name."""

import pytest
from trainyard_node.export.refused import Refused
from trainyard_node.merge.recipe import read_recipe
from trainyard_node.merge.settings import value_at

GRADIENT = """
slices:
  - sources:
      - {model: psmathur/orca_mini_v3_13b, layer_range: [0, 40]}
      - {model: garage-bAInd/Platypus2-13B, layer_range: [0, 40]}
merge_method: slerp
base_model: psmathur/orca_mini_v3_13b
parameters:
  t:
    - filter: self_attn
      value: [0, 0.5, 0.3, 0.7, 1]
    - filter: mlp
      value: [1, 0.5, 0.7, 0.3, 0]
    - value: 0.5
dtype: float16
"""
TIES = """
models:
  - model: a
    parameters: {density: [1, 0.7, 0.1], weight: 1.0}
  - model: b
    parameters: {density: 0.5, weight: [0, 0.3, 0.7, 1]}
  - model: c
    parameters:
      density: 0.33
      weight: [{filter: mlp, value: 0.5}, {value: 0}]
merge_method: ties
base_model: base
parameters: {normalize: true, int8_mask: true}
dtype: float16
"""


def test_gradients_and_filters() -> None:
    recipe = read_recipe(GRADIENT)

    def t(tensor: str, depth: float) -> float:
        return float(value_at(recipe.parameters["t"], tensor, depth, float))

    assert t("model.layers.0.self_attn.q_proj.weight", 0) == 0
    assert t("model.layers.5.self_attn.q_proj.weight", 0.125) == 0.25
    assert t("model.layers.39.mlp.up_proj.weight", 1) == 0
    assert t("model.norm.weight", 0) == 0.5
    assert recipe.slices[0].sources[1].layers == (0, 40)


def test_numbers_that_yaml_reads_as_words_are_interpolated() -> None:
    assert value_at(["1e-5", "3e-5"], "x", 0.5, float) == pytest.approx(2e-5)
    assert value_at([True, False], "x", 0.9, bool) is True


def test_the_base_is_one_more_input() -> None:
    recipe = read_recipe(TIES)
    assert [source.model for source in recipe.slices[0].sources] == ["a", "b", "c", "base"]
    assert recipe.slices[0].base_index == 3
    assert recipe.models == ["a", "b", "c", "base"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("merge_method: [", "no YAML"),
        ("- a", "no YAML mapping"),
        ("merge_method: tiess\nmodels: [{model: a}]", "Did you mean ties?"),
        ("merge_method: ties\nmodells: [{model: a}]", "Did you mean models?"),
        ("merge_method: linear\nmodels: []", "either models or slices"),
        ("merge_method: linear\nmodels: [{model: a}]", "a needs a weight"),
        (
            "merge_method: linear\nmodels: [{model: a, parameters: {wieght: 1}}]",
            "no parameter wieght",
        ),
        ("merge_method: linear\nmodels: [{model: a, parameters: {weight: heavy}}]", "is a number"),
        ("merge_method: linear\nmodels: [{model: a, parameters: {weight: .nan}}]", "is a number"),
        ("merge_method: slerp\nmodels: [{model: a}, {model: b}]", "needs a base_model"),
        ("merge_method: slerp\nbase_model: a\nmodels: [{model: b}]", "needs the parameter t"),
        (
            "merge_method: slerp\nbase_model: a\nparameters: {t: 1}\n"
            "models: [{model: b}, {model: c}]",
            "takes 1 models beside the base, and has 2",
        ),
        ("merge_method: model_stock\nbase_model: a\nmodels: [{model: b}]", "needs 2 or more"),
        (
            "merge_method: linear\nmodels: [{model: a, parameters: {weight: 1}}, {model: a}]",
            "stands twice",
        ),
        ("merge_method: passthrough\nslices: [{sources: [{model: a}]}]", "needs its layer_range"),
        (
            "merge_method: passthrough\nslices: [{sources: [{model: a, layer_range: [5, 2]}]}]",
            "layer_range of a is [first, end]",
        ),
        ("merge_method: passthrough\nmodels: [{model: a+b+c}]", "LoRA adapter"),
        ("merge_method: passthrough\nmodels: [{model: a}]\ndtype: int4", "dtype int4 is unknown"),
        ("merge_method: passthrough\nmodels: [{model: a}]\nseed: -1", "seed is a whole number"),
        ("merge_method: passthrough\nmodules: {text: {}}", "several modules"),
        (
            "merge_method: karcher\nmodels: [{model: a}]\nparameters: {max_iter: 1.5}",
            "a whole number",
        ),
        ("merge_method: linear\nmodels: &a [*a]", "no YAML"),
        (
            "merge_method: linear\nbase_model: x\nmodels: [{model: a, parameters: {weight: 1}}]",
            "x needs a weight",
        ),
    ],
)
def test_what_is_wrong_is_named(text: str, says: str) -> None:
    with pytest.raises(Refused) as refused:
        read_recipe(text)
    assert says in str(refused.value)
