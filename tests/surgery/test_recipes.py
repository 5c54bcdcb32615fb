"""Recipes in mergekit's YAML: what is read, what is refused, what a form writes."""

import pytest
import yaml

from surgery.recipes.filled import fill
from surgery.recipes.recipe import RecipeError, read_recipe
from surgery.recipes.written import FieldError, Words, write_recipe

TIES = """
merge_method: ties
base_model: /m/base
models:
  - model: /m/base
  - model: /m/a
    parameters: {weight: 0.5, density: [0.2, 0.8]}
  - model: /m/b
    parameters:
      weight: [{filter: mlp, value: 0.1}, {value: 1e-5}]
parameters: {normalize: true}
dtype: bfloat16
"""
STACK = """
merge_method: passthrough
slices:
  - sources: [{model: /m/a, layer_range: [0, 4]}]
  - sources: [{model: {model: {path: /m/b}}, layer_range: [2, 6]}]
"""


BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]\n" for level in range(1, 9)
)
MANY = "".join(f"  - model: /m/{number}\n" for number in range(70))


def test_the_models_of_a_recipe_are_known() -> None:
    recipe = read_recipe(TIES)
    assert (recipe.method.name, recipe.base) == ("ties", "/m/base")
    assert list(recipe.models) == ["/m/base", "/m/a", "/m/b"]
    assert recipe.is_whole
    stack = read_recipe(STACK)
    assert list(stack.models) == ["/m/a", "/m/b"]
    assert not stack.is_whole


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "The recipe is no YAML mapping"),
        ("a: [", "The recipe is no YAML:"),
        ("ä" * 60_000, "The recipe has 120000 bytes; at most 100000 are read."),
        ("merge_method: tise", "There is no merge_method 'tise'. Did you mean ties?"),
        ("merge_method: linear\nmodls: []", "The recipe has no modls. Did you mean models?"),
        (TIES.replace("normalize", "norm"), "The recipe: ties has no parameter norm. It has: "),
        (TIES.replace("weight: 0.5", "weight: many"), "/m/a: weight is a number, not 'many'."),
        (TIES.replace("base_model: /m/base", ""), "ties needs a base_model."),
        (TIES.replace("bfloat16", "int4"), "dtype int4 is unknown. There are: float32"),
        (TIES.replace("/m/b\n", "/m/a\n"), "/m/a stands twice beside itself"),
        ("merge_method: linear", "A recipe has either models or slices"),
        ("merge_method: linear\nmodels: [3]", "A source is a mapping with a model, not 3."),
        ("merge_method: linear\nmodels: [{model: 3}]", "model is a folder, not 3."),
        (BOMB, "The recipe is too large: at most 10000 entries are read, and 20 levels."),
        ("a: &a [*a]", "The recipe is too large"),
        ("2020-01-01: x", "The recipe has a value that is neither words nor a number"),
        ("merge_method: !!int ''", "The recipe is no YAML:"),
        ("x: !!bool q", "The recipe is no YAML:"),
        ('"\\ud800": x', "neither words nor a number nor true or false: '\\ud800'"),
        ('merge_method: linear\nmodels: [{model: "/a\\0b"}]', "neither words nor a number"),
        ("weight: 0x" + "F" * 6000, "The recipe has a value that is neither words"),
        (TIES.replace("models:\n", "models:\n" + MANY), "at most 64 are read."),
    ],
)
def test_a_wrong_recipe_is_refused_by_the_name_of_what_is_wrong(text: str, said: str) -> None:
    with pytest.raises(RecipeError) as caught:
        read_recipe(text)
    assert said in str(caught.value)


def test_a_form_writes_a_recipe_that_is_read() -> None:
    text = write_recipe("ties", ["/m/a", "/m/b"], "/m/base", "weight: [0.25, 0.75]\nlambda: 0.9")
    assert text == (
        "merge_method: ties\nbase_model: /m/base\nmodels:\n"
        "- model: /m/a\n  parameters:\n    weight: 0.25\n"
        "- model: /m/b\n  parameters:\n    weight: 0.75\n"
        "parameters:\n  lambda: 0.9\n"
    )
    assert list(read_recipe(text).models) == ["/m/a", "/m/b", "/m/base"]


def test_a_base_among_the_models_has_no_weight_of_its_own() -> None:
    text = write_recipe("ties", ["/m/base", "/m/a"], "/m/base", "weight: [0.5]")
    assert "- model: /m/base\n- model: /m/a\n  parameters:\n    weight: 0.5\n" in text


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ("weight: [1]", "weight has 1 values for 2 models."),
        ("size: 1", "linear has no parameter size. It has: weight, normalize."),
        ("3", "The parameters are lines of name: value"),
        ("a: [", "The parameters are no lines of name: value"),
        ("weight: 0x" + "F" * 6000, "The parameters are no lines of name: value"),
        ("normalize: " + "[" * 330 + "]" * 330, "at most 10000 entries are read, and 20 levels."),
        ("weight: !!bool q", "The parameters are no lines of name: value"),
    ],
)
def test_wrong_parameters_are_refused(parameters: str, said: str) -> None:
    with pytest.raises(RecipeError) as caught:
        write_recipe("linear", ["/m/a", "/m/b"], "", parameters)
    assert said in str(caught.value)


def test_a_model_may_have_an_adapter_in_it() -> None:
    text = TIES.replace("model: /m/b\n", "model: /m/base+/m/lora\n").replace(
        "/m/a\n", "/m/a+/m/lora\n"
    )
    recipe = read_recipe(text)
    assert list(recipe.models) == ["/m/base", "/m/a"]
    assert list(recipe.adapters) == ["/m/lora"]
    nested = STACK.replace("{model: {path: /m/b}}", "{model: {path: /m/b}, lora: {path: /m/c}}")
    assert list(read_recipe(nested).adapters) == ["/m/c"]
    based = read_recipe(TIES.replace("/m/base", "/m/base+/m/c"))
    assert (based.base, list(based.adapters)) == ("/m/base", ["/m/c"])
    for wrong in ("/m/a+", "+/m/a", "/m/a+/m/b+/m/c"):
        with pytest.raises(RecipeError, match="is no model: a folder, or"):
            read_recipe(TIES.replace("/m/base", wrong))


def test_a_recipe_with_a_tokenizer_aligns_its_models() -> None:
    assert not read_recipe(TIES).aligns
    assert read_recipe(f"{TIES}tokenizer_source: union\n").aligns
    named = read_recipe(f"{TIES}tokenizer: {{source: /m/c+/m/lora}}\n")
    assert (named.aligns, named.tokenizer) == (True, "/m/c")


TOKENS = '"<|im_end|>": {source: /m/a, force: true}\n<|new|>: {source: {kind: zero}}'
PLAIN = TIES.replace(", density: [0.2, 0.8]", "")
WORDED = f"{PLAIN}tokenizer:\n  source: union\n  tokens:\n    " + TOKENS.replace("\n", "\n    ")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (Words(), {}),
        (Words("union"), {"tokenizer_source": "union"}),
        (Words("/m/t", multiple=64), {"tokenizer": {"source": "/m/t", "pad_to_multiple_of": 64}}),
        (Words("base", TOKENS), {"tokenizer": {"source": "base", "tokens": {
            "<|im_end|>": {"source": "/m/a", "force": True},
            "<|new|>": {"source": {"kind": "zero"}},
        }}}),
        (Words(template="chatml"), {"chat_template": "chatml"}),
        (Words(template="{{ messages }}\n"), {"chat_template": "{{ messages }}\n"}),
    ],
)  # fmt: skip
def test_the_fields_of_tokenizer_and_template_are_written_and_read(
    words: Words, said: dict[str, object]
) -> None:
    text = write_recipe("ties", ["/m/a", "/m/b"], "/m/base", "weight: 0.5", words=words)
    data = yaml.safe_load(text)
    assert {name: data[name] for name in data if "token" in name or "template" in name} == said
    found = fill(text)
    assert list(found.left) == []
    written = write_recipe(
        found.method, found.models, found.base, found.parameters, words=found.words
    )
    assert yaml.safe_load(written) == data


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (TIES, ["models"]),  # one model alone has a density
        (PLAIN, []),
        (f"{WORDED}\n", []),
        (f"{PLAIN}chat_template: auto\nseed: 3\nout_dtype: float16\n", ["out_dtype", "seed"]),
        (PLAIN.replace("normalize", "gamma"), None),
        (STACK, ["slices"]),
        ("merge_method: linear\nmodels: [{model: /a}, {model: /b, parameters: {weight: 1}}]\n"
         "parameters: {weight: 0.5}\n", ["models"]),
        ("merge_method: linear\nmodels: [{model: /a}, {model: /b}]\n"
         "parameters: {weight: [0, 0.5, 1]}\n", ["parameters"]),
    ],
)  # fmt: skip
def test_what_the_fields_cannot_hold_of_a_recipe_is_named(
    text: str, left: list[str] | None
) -> None:
    if left is None:
        with pytest.raises(RecipeError):
            fill(text)
        return
    assert list(fill(text).left) == left


def test_per_model_values_fill_a_list_in_the_order_of_the_models() -> None:
    text = write_recipe("ties", ["/m/a", "/m/b"], "/m/base", "weight: [0.25, 0.75]\nlambda: 0.9")
    found = fill(text)
    assert yaml.safe_load(found.parameters) == {"lambda": 0.9, "weight": [0.25, 0.75]}
    assert (found.method, list(found.models), found.base) == ("ties", ["/m/a", "/m/b"], "/m/base")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("chat_template: llama2", "chat_template 'llama2' is unknown. There are: alpaca"),
        ("chat_template: [1]", "chat_template [1] is unknown"),
        ("tokenizer: union", "tokenizer is a mapping with a source."),
        ("tokenizer: {source: union}\ntokenizer_source: base", "and not both"),
        ("tokenizer: {sauce: union}", "tokenizer has no sauce. It has: source, tokens"),
        ("tokenizer: {pad_to_multiple_of: 0}", "a whole number from 1 to"),
        ("tokenizer: {pad_to_multiple_of: true}", "a whole number from 1 to"),
        ("tokenizer: {tokens: [a]}", "is a mapping of tokens to their sources"),
        ("tokenizer: {tokens: {1: {}}}", "1 is no token: it is a text"),
        ("tokenizer: {tokens: {a: /m/a}}", "The token 'a' has a mapping with a source"),
        ("tokenizer: {tokens: {a: {from: x}}}", "The token 'a' has no from"),
        ("tokenizer: {tokens: {a: {force: true}}}", "force of the token 'a' needs a source"),
        ("tokenizer: {tokens: {a: {source: /m/a, force: 1}}}", "is true or false, not 1"),
        ("tokenizer: {tokens: {a: {source: /m/c}}}", "which is none of the recipe's models"),
        ("tokenizer: {tokens: {a: {source: 1}}}", "The source of 'a' is a folder, not 1"),
        ("tokenizer: {tokens: {a: {source: {kind: x}}}}", "of the kind zero or model_token"),
        ("tokenizer: {tokens: {a: {source: {kind: model_token, model: /m/a}}}}",
         "has a token or a token_id, and not both"),
    ],
)  # fmt: skip
def test_a_wrong_tokenizer_or_template_is_refused(more: str, said: str) -> None:
    with pytest.raises(RecipeError) as caught:
        read_recipe(f"{TIES}{more}\n")
    assert said in str(caught.value)


def test_what_is_wrong_with_a_field_is_told_with_its_name() -> None:
    with pytest.raises(FieldError) as caught:
        write_recipe("linear", ["/m/a"], words=Words("union", "[PAD]: {}"))
    assert caught.value.field == "tokens"
