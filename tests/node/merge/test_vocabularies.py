"""Models of different vocabularies, beside mergekit: the same rows for the same tokens."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from mergekit.config import MergeConfiguration
from mergekit.merge import run_merge
from mergekit.options import MergeOptions
from safetensors.torch import load_file
from tokenizers import Tokenizer
from tokenizers.models import BPE
from trainyard_node.export.refused import Refused
from trainyard_node.merge import inputs
from trainyard_node.merge.merging import merge, plan
from trainyard_node.merge.recipe import read_recipe
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast

WORDS = ("model.embed_tokens.weight", "lm_head.weight")
CLOSE = 1e-6
# Tokens of each model in their order, and those that were added to them.
TOKENS = {
    "A": (["a", "b", "c", "d", "ab"], ["<s>", "</s>"]),
    "B": (["d", "c", "b", "a", "e", "f"], ["<s>", "<|im_end|>"]),
    "C": (["a", "c", "e", "g"], ["<s>", "</s>", "<|im_end|>"]),
}
ROWS = 11  # of the embeddings: more than any of them has tokens
LINEAR = """
    merge_method: linear
    models:
      - {model: A, parameters: {weight: 0.7}}
      - {model: B, parameters: {weight: 0.3}}
      - {model: C, parameters: {weight: 0.4}}
    dtype: float32
"""
BASED = """
    merge_method: task_arithmetic
    base_model: A
    models:
      - {model: B, parameters: {weight: 0.6}}
      - {model: C, parameters: {weight: 0.5}}
    dtype: float32
"""
CASES = {
    "base": f"{BASED}\n    tokenizer_source: base",
    "union": f"{BASED}\n    tokenizer_source: union",
    "a model's": f"{BASED}\n    tokenizer_source: B",
    "a model's, without a base": f"{LINEAR}\n    tokenizer_source: C",
    "filled up": f"{BASED}\n    tokenizer: {{source: union, pad_to_multiple_of: 8}}",
    "zeros": f"""{BASED}
    tokenizer: {{source: base, tokens: {{ab: {{source: {{kind: zero}}}}}}}}
    """,
    "forced": f"""{BASED}
    tokenizer:
      source: union
      tokens:
        a: {{source: B, force: true}}
        f: {{source: B}}
        new: {{source: {{kind: model_token, model: C, token: g}}}}
        "<|im_end|>": {{source: {{kind: model_token, model: A, token_id: 6}}, force: true}}
    """,
    "slices": """
    merge_method: slerp
    base_model: A
    slices:
      - sources: [{model: A, layer_range: [0, 1]}, {model: B, layer_range: [0, 1]}]
      - sources: [{model: A, layer_range: [1, 2]}, {model: B, layer_range: [1, 2]}]
    parameters: {t: 0.4}
    dtype: float32
    tokenizer_source: union
    """,
}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    return {name: saved(folder / name, seed) for seed, name in enumerate(TOKENS)}


def saved(folder: Path, seed: int) -> Path:
    plain, added = TOKENS[folder.name]
    torch.manual_seed(seed)
    config = AutoConfig.for_model(
        "llama", architectures=["LlamaForCausalLM"], hidden_size=16, intermediate_size=24,
        num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1, vocab_size=ROWS,
        tie_word_embeddings=False, bos_token_id=len(plain), eos_token_id=len(plain) + 1,
    )  # fmt: skip
    model: Any = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    with torch.no_grad():
        for each in model.parameters():
            each.copy_(torch.randn(each.shape) * 0.1)
    model.save_pretrained(folder)
    words = Tokenizer(BPE(vocab={each: n for n, each in enumerate(plain)}, merges=[]))
    made = PreTrainedTokenizerFast(tokenizer_object=words, bos_token="<s>", eos_token=added[1])
    made.add_special_tokens({"additional_special_tokens": added})
    made.chat_template = f"{{{{ messages[0].content }}}}{folder.name if seed else 'B'}"
    made.save_pretrained(folder)
    return folder


def text_of(case: str, models: Mapping[str, Path]) -> str:
    """The recipe with the models' folders in the place of their letters."""
    return re.sub(r"(model|source): ([ABC])\b", lambda at: f"{at[1]}: {models[at[2]]}", case)


def loaded(folder: Path) -> tuple[dict[str, torch.Tensor], dict[str, int]]:
    tensors = load_file(folder / "model.safetensors")
    return tensors, AutoTokenizer.from_pretrained(folder).get_vocab()


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("chunk", [inputs.CHUNK, 32])
def test_the_rows_are_those_of_mergekit(
    name: str, chunk: int, models: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By token: mergekit numbers the tokens that a union adds anew at each start."""
    monkeypatch.setattr(inputs, "CHUNK", chunk)
    text = text_of(CASES[name], models)
    merge(plan(read_recipe(text)), tmp_path / "ours")
    given = MergeConfiguration.model_validate(yaml.safe_load(text))
    run_merge(given, str(tmp_path / "theirs"), MergeOptions(quiet=True))
    ours, numbers = loaded(tmp_path / "ours")
    theirs, others = loaded(tmp_path / "theirs")
    assert ours.keys() == theirs.keys()
    assert numbers.keys() == others.keys()
    for key, tensor in theirs.items():
        assert ours[key].shape == tensor.shape
        if key in WORDS:
            for token, number in numbers.items():
                apart = (ours[key][number] - tensor[others[token]]).abs().max()
                assert apart <= CLOSE, (key, token)
            filled = ours[key][len(numbers) :] - tensor[len(others) :]
            assert (filled.abs() <= CLOSE).all()
        else:
            assert (ours[key] - tensor).abs().max() <= CLOSE, key
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "ours")
    assert model.config.vocab_size == len(ours[WORDS[0]])
    assert model.generate(torch.tensor([[0, 1]]), max_new_tokens=2).shape[0] == 1


def test_ends_of_texts_keep_their_meaning(models: dict[str, Path], tmp_path: Path) -> None:
    """The base's end of a text has another number in the tokenizer of another model."""
    merge(plan(read_recipe(text_of(CASES["a model's"], models))), tmp_path / "out")
    config = AutoConfig.from_pretrained(tmp_path / "out")
    numbers = AutoTokenizer.from_pretrained(tmp_path / "out").get_vocab()
    assert config.bos_token_id == numbers["<s>"] != len(TOKENS["A"][0])
    assert "</s>" not in numbers
    assert config.eos_token_id is None


def test_the_card_names_tokens_that_no_model_has(models: dict[str, Path], tmp_path: Path) -> None:
    """A tokenizer may be that of a model which is not merged."""
    text = """
    merge_method: slerp
    base_model: A
    models: [{model: A}, {model: B}]
    parameters: {t: 0.4}
    tokenizer_source: C
    """
    merge(plan(read_recipe(text_of(text, models))), tmp_path / "out")
    card = (tmp_path / "out/README.md").read_text()
    assert 'Tokens that no model has (1), whose embeddings are zeros: "g".' in card
    tensors, numbers = loaded(tmp_path / "out")
    assert not tensors[WORDS[0]][numbers["g"]].any()
    assert tensors[WORDS[0]][numbers["e"]].any()


def test_the_same_recipe_gives_the_same_bytes(models: dict[str, Path], tmp_path: Path) -> None:
    text = text_of(CASES["union"], models)
    for name in ("one", "two"):
        merge(plan(read_recipe(text)), tmp_path / name)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes(), path.name


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("{source: union, tokens: {new: {}}}", "'new' is in not all models, and has no source"),
        ("{source: union, tokens: {a: {force: true}}}", "force of the token 'a' needs a source"),
        ("{source: union, tokens: {n: {source: {kind: mean}}}}", "zero or model_token, not 'mean'"),
        (
            "{source: union, tokens: {n: {source: {kind: model_token, model: B, token: zz}}}}",
            "'zz' of .*, which it has not",
        ),
        (
            "{source: union, tokens: {n: {source: {kind: model_token, model: B, token_id: 11}}}}",
            "token_id 11 in the source of 'n' is no row",
        ),
        ("{source: union, tokens: {n: {source: D}}}", "is D, which is none of the models"),
        ("{source: union, tokens: [a]}", "is a mapping of tokens"),
        ("{source: union, pad_to_multiple_of: 0}", "is a whole number from 1"),
        ("{source: nowhere}", "has no tokenizer"),
        ("{sources: union}", "tokenizer has no sources"),
    ],
)
def test_what_cannot_be_is_refused(said: str, reason: str, models: dict[str, Path]) -> None:
    with pytest.raises(Refused, match=reason):
        plan(read_recipe(text_of(f"{BASED}\n    tokenizer: {said}", models)))


def test_tokens_without_a_row_are_refused(models: dict[str, Path], tmp_path: Path) -> None:
    short = tmp_path / "B"
    TOKENS["B"][0].extend(extra := ["v", "w", "x", "y", "z"])
    try:
        saved(short, 5)
    finally:
        del TOKENS["B"][0][-len(extra) :]
    with pytest.raises(Refused, match="a token of the number 12, and its configuration says"):
        plan(read_recipe(text_of(CASES["union"], {**models, "B": short})))


CHATS: Sequence[list[dict[str, str]]] = (
    [{"role": "user", "content": "Hello "}],
    [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hello"}],
    [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Good day"},
        {"role": "user", "content": "And?"},
    ],
)


@pytest.mark.parametrize("name", ["alpaca", "chatml", "llama3", "mistral", "exaone", "auto"])
def test_templates_by_name(name: str, models: dict[str, Path], tmp_path: Path) -> None:
    """Those of mergekit, of which some have other white space between the turns."""
    text = text_of(f"{BASED}\n    tokenizer_source: base\n    chat_template: {name}", models)
    merge(plan(read_recipe(text)), tmp_path / "ours")
    given = MergeConfiguration.model_validate(yaml.safe_load(text))
    run_merge(given, str(tmp_path / "theirs"), MergeOptions(quiet=True))
    ours, theirs = (AutoTokenizer.from_pretrained(tmp_path / each) for each in ("ours", "theirs"))
    for chat in CHATS:
        for more in (False, True):
            said, expected = (
                each.apply_chat_template(chat, tokenize=False, add_generation_prompt=more)
                for each in (ours, theirs)
            )
            if name in ("llama3", "exaone", "alpaca"):
                said, expected = ("".join(each.split()) for each in (said, expected))
            assert said == expected


def test_an_unknown_template_is_refused(models: dict[str, Path]) -> None:
    with pytest.raises(Refused, match=r"'vicuna' is unknown\. There are: alpaca, chatml"):
        plan(read_recipe(text_of(f"{LINEAR}\n    chat_template: vicuna", models)))
