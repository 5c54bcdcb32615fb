from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compute.sizing.attention import Biases, LatentAttention
from compute.sizing.config_file import LARGEST_FILE, ConfigError
from compute.sizing.experts import Experts
from compute.sizing.facts import ModelFacts, read_facts
from compute.sizing.positions import Rope, Window
from tests.compute.sizing import configs

PLAIN = Biases(qkv=False, output=False, mlp=False, head=False)
OF_QKV = Biases(qkv=True, output=False, mlp=False, head=False)


def sizes(facts: ModelFacts) -> tuple[int | None, ...]:
    """Layers, hidden, heads, key-value heads, head size, MLP width, vocabulary, context."""
    return (
        facts.layers, facts.hidden, facts.heads, facts.kv_heads, facts.head_dim,
        facts.intermediate, facts.vocab, facts.max_positions,
    )  # fmt: skip


def test_sizes_of_published_models() -> None:
    assert {name: sizes(read_facts(config)) for name, config in configs.ALL.items()} == {
        "Llama-3.1-8B": (32, 4096, 32, 8, 128, 14336, 128256, 131072),
        "Qwen2.5-0.5B": (24, 896, 14, 2, 64, 4864, 151936, 32768),
        "Qwen3-8B": (36, 4096, 32, 8, 128, 12288, 151936, 40960),
        "Qwen3-30B-A3B": (48, 2048, 32, 4, 128, 6144, 151936, 40960),
        "Qwen1.5-MoE-A2.7B": (24, 2048, 16, 16, 128, 5632, 151936, 8192),
        "Mixtral-8x7B": (32, 4096, 32, 8, 128, 14336, 32000, 32768),
        "DeepSeek-V3": (61, 7168, 128, 128, 192, 18432, 129280, 163840),
        "gemma-2-2b": (26, 2304, 8, 4, 256, 9216, 256000, 8192),
        "gemma-3-4b": (34, 2560, 8, 4, 256, 10240, 262208, 131072),
        "Mistral-7B-v0.1": (32, 4096, 32, 8, 128, 14336, 32000, 32768),
        "phi-2": (32, 2560, 32, 32, 80, 10240, 51200, 2048),
        "Phi-3.5-mini": (32, 3072, 32, 32, 96, 8192, 32064, 131072),
        "glm-4-9b": (40, 4096, 32, 2, 128, 13696, 151552, 131072),
        "GLM-4.5-Air": (46, 4096, 96, 8, 128, 10944, 151552, 131072),
        "gpt2": (12, 768, 12, 12, 64, 3072, 50257, 1024),
        "opt-125m": (12, 768, 12, None, None, None, 50272, 2048),
    }


def test_what_a_familys_code_fixes() -> None:
    """Tied embeddings, biases, and norms on queries and keys."""
    found = {name: read_facts(config) for name, config in configs.ALL.items()}
    assert {name: (one.tied, one.biases, one.qk_norm) for name, one in found.items()} == {
        "Llama-3.1-8B": (False, PLAIN, "none"),
        "Qwen2.5-0.5B": (True, OF_QKV, "none"),
        "Qwen3-8B": (False, PLAIN, "head"),
        "Qwen3-30B-A3B": (False, PLAIN, "head"),
        "Qwen1.5-MoE-A2.7B": (False, OF_QKV, "none"),
        "Mixtral-8x7B": (False, PLAIN, "none"),
        "DeepSeek-V3": (False, PLAIN, "none"),
        "gemma-2-2b": (True, PLAIN, "none"),
        "gemma-3-4b": (True, PLAIN, "head"),
        "Mistral-7B-v0.1": (False, PLAIN, "none"),
        "phi-2": (False, Biases(qkv=True, output=True, mlp=True, head=True), "none"),
        "Phi-3.5-mini": (False, PLAIN, "none"),
        "glm-4-9b": (False, OF_QKV, "none"),
        "GLM-4.5-Air": (False, OF_QKV, "none"),
        "gpt2": (True, Biases(qkv=True, output=True, mlp=True, head=False), "none"),
        "opt-125m": (None, None, None),
    }
    assert [name for name, one in found.items() if not one.is_known] == ["opt-125m"]
    assert [name for name, one in found.items() if one.gated_mlp is False] == ["phi-2", "gpt2"]


def test_experts() -> None:
    found = {name: read_facts(config).experts for name, config in configs.ALL.items()}
    assert {name: experts for name, experts in found.items() if experts} == {
        "Qwen3-30B-A3B": Experts(128, 8, 768, 0, tuple(range(48))),
        "Qwen1.5-MoE-A2.7B": Experts(60, 4, 1408, 5632, tuple(range(24))),
        "Mixtral-8x7B": Experts(8, 2, 14336, 0, tuple(range(32))),
        "DeepSeek-V3": Experts(256, 8, 2048, 2048, tuple(range(3, 61))),
        "GLM-4.5-Air": Experts(128, 8, 1408, 1408, tuple(range(1, 46))),
    }


def test_experts_in_some_layers_only() -> None:
    stepped = configs.QWEN_3_30B_A3B | {
        "num_hidden_layers": 8, "decoder_sparse_step": 2, "mlp_only_layers": [3],
    }  # fmt: skip
    experts = read_facts(stepped).experts
    assert experts
    assert experts.layers == (1, 5, 7)


def test_experts_of_an_unknown_family_are_where_nobody_knows() -> None:
    unknown = configs.QWEN_3_30B_A3B | {"model_type": "newcomer"}
    facts = read_facts(unknown)
    assert facts.experts == Experts(128, 8, 768, None, None)
    assert (facts.is_known, facts.biases, facts.qk_norm, facts.gated_mlp) == (
        False, None, None, None,
    )  # fmt: skip


def test_latent_attention() -> None:
    assert read_facts(configs.DEEPSEEK_V3).latent == LatentAttention(512, 1536, 128, 64, 128)
    direct = read_facts(configs.DEEPSEEK_V3 | {"q_lora_rank": None}).latent
    assert direct == LatentAttention(512, None, 128, 64, 128)


def test_rope() -> None:
    assert read_facts(configs.LLAMA_3_8B).rope == Rope(500000.0, "llama3", 8.0, 8192)
    assert read_facts(configs.QWEN_3_8B).rope == Rope(1000000.0, "default", None, None)
    assert read_facts(configs.DEEPSEEK_V3).rope == Rope(10000.0, "yarn", 40.0, 4096)
    assert read_facts(configs.GPT_2).rope is None


def test_rope_as_transformers_5_writes_it() -> None:
    one = {"rope_theta": 5000.0, "rope_type": "default"}
    two = {"full_attention": {"rope_theta": 9.0, "rope_type": "linear", "factor": 8}}
    llama = {key: value for key, value in configs.LLAMA_3_8B.items() if "rope" not in key}
    assert read_facts(llama | {"rope_parameters": one}).rope == Rope(5000.0, "default", None, None)
    assert read_facts(llama | {"rope_parameters": two}).rope == Rope(9.0, "linear", 8.0, None)


def test_windows() -> None:
    found = {name: read_facts(config).window for name, config in configs.ALL.items()}
    assert {name: window for name, window in found.items() if window} == {
        "gemma-2-2b": Window(4096, 13),
        "gemma-3-4b": Window(1024, 29),
        "Mistral-7B-v0.1": Window(4096, 32),
        "Phi-3.5-mini": Window(262144, 32),
    }
    late = configs.QWEN_25_HALF_B | {"use_sliding_window": True}
    assert read_facts(late).window == Window(32768, 3)
    early = configs.QWEN_15_MOE | {"use_sliding_window": True}
    assert read_facts(early).window == Window(32768, 11)
    listed = configs.GEMMA_2_2B | {
        "layer_types": ["sliding_attention"] * 2 + ["full_attention"] * 24
    }
    assert read_facts(listed).window == Window(4096, 2)


def test_number_format_and_packing() -> None:
    facts = read_facts(configs.DEEPSEEK_V3)
    assert (facts.architecture, facts.dtype, facts.quantization) == (
        "DeepseekV3ForCausalLM", "bfloat16", "fp8",
    )  # fmt: skip
    newer = read_facts(configs.PHI_2 | {"dtype": "torch.float32"})
    assert (newer.dtype, newer.quantization) == ("float32", None)
    assert read_facts(configs.GPT_2).dtype is None


def test_a_file_is_read_as_well(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(orjson.dumps(configs.LLAMA_3_8B))
    assert read_facts(path) == read_facts(str(path)) == read_facts(configs.LLAMA_3_8B)


MISSING = ("model_type", "num_hidden_layers", "hidden_size", "num_attention_heads", "vocab_size")


def test_what_no_model_is_without_is_named() -> None:
    for key in MISSING:
        less = {name: value for name, value in configs.LLAMA_3_8B.items() if name != key}
        with pytest.raises(ConfigError, match=rf"config\.json .* {key}\.") as refused:
            read_facts(less)
        assert refused.value.key == key


WRONG: list[tuple[str, Any, str]] = [
    ("num_hidden_layers", "32", "num_hidden_layers in config.json is '32': it must be a whole "
     "number from 1 to 10000."),
    ("num_hidden_layers", True, "num_hidden_layers in config.json is True: it must be a whole "
     "number from 1 to 10000."),
    ("num_hidden_layers", 10**9, "num_hidden_layers in config.json is 1000000000: it must be a "
     "whole number from 1 to 10000."),
    ("hidden_size", -1, "hidden_size in config.json is -1: it must be a whole number from 1 to "
     "1048576."),
    ("vocab_size", [1], "vocab_size in config.json is [1]: it must be a whole number from 1 to "
     "16777216."),
    ("max_position_embeddings", 8192.5, "max_position_embeddings in config.json is 8192.5: it must "
     "be a whole number from 1 to 2147483648."),
    ("num_key_value_heads", 5, "num_key_value_heads in config.json is 5: 32 attention heads cannot "
     "share so many evenly."),
    ("hidden_size", 4097, "hidden_size in config.json is 4097, which 32 attention heads cannot "
     "share evenly, and there is no head_dim."),
    ("tie_word_embeddings", "no", "tie_word_embeddings in config.json is 'no': it must be true or "
     "false."),
    ("rope_theta", float("nan"), "rope_theta in config.json is nan: it must be a number above "
     "zero."),
    ("rope_scaling", "yarn", "rope_scaling in config.json is 'yarn': it must be an object."),
    ("torch_dtype", "<b>", "torch_dtype in config.json is '<b>': it must be one plain word."),
    ("architectures", "Llama", "architectures in config.json is no list of names."),
    ("text_config", 7, "text_config in config.json is 7: it must be an object."),
]  # fmt: skip


def test_wrong_values_are_named_and_shown() -> None:
    said = {}
    for key, value, _ in WRONG:
        with pytest.raises(ConfigError) as refused:
            read_facts(configs.LLAMA_3_8B | {key: value})
        said[key, repr(value)] = str(refused.value)
    assert said == {(key, repr(value)): message for key, value, message in WRONG}


def test_experts_that_cannot_be() -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({"num_experts_per_tok": 129}, "num_experts_per_tok in config.json is 129, of 128 experts"),
        ({"mlp_only_layers": 3}, "mlp_only_layers in config.json is no list of layers"),
        ({"mlp_only_layers": [48]}, "mlp_only_layers in config.json names a layer that is not"),
        ({"decoder_sparse_step": 0}, "decoder_sparse_step in config.json is 0"),
    ]
    for changed, message in cases:
        with pytest.raises(ConfigError, match=message):
            read_facts(configs.QWEN_3_30B_A3B | changed)


def test_files_that_describe_no_model(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    for text, message in [
        (b"", "config.json cannot be read"),
        (b"[" * 100_000, "config.json cannot be read"),
        (b"\xff\xfe", "config.json cannot be read"),
        (b"[]", "config.json is no JSON object."),
        (b'{"model_type": 7}', "model_type in config.json is 7"),
        (b" " * (LARGEST_FILE + 1), "config.json is larger than 8 MiB"),
    ]:
        path.write_bytes(text)
        with pytest.raises(ConfigError, match=message):
            read_facts(path)
    with pytest.raises(FileNotFoundError):
        read_facts(tmp_path / "nothing.json")


def test_a_number_that_has_no_decimal_form() -> None:
    with pytest.raises(ConfigError, match="a value that cannot be shown"):
        read_facts(configs.LLAMA_3_8B | {"vocab_size": 10**10_000})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner),
    max_leaves=10,
)


@given(data=st.data(), name=st.sampled_from(sorted(configs.ALL)))
@settings(max_examples=150, deadline=None)
def test_junk_gives_facts_or_a_refusal_by_name(data: st.DataObject, name: str) -> None:
    config = configs.ALL[name]
    keys = st.sampled_from(sorted(config)) | st.sampled_from(["layer_types", "rope_parameters"])
    config = config | data.draw(st.dictionaries(keys, JSON, min_size=1, max_size=3))
    facts = read_or_refuse(config)
    if facts:
        assert 1 <= facts.layers <= 10_000
        assert facts.window is None or (facts.window.layers or 0) <= facts.layers


def read_or_refuse(config: dict[str, Any]) -> ModelFacts | None:
    try:
        return read_facts(config)
    except ConfigError as error:
        key, message = error.key, str(error)
    assert key
    assert key in message
    assert 0 < len(message) < 300
    return None


@given(JSON)
@settings(deadline=None)
def test_junk_in_place_of_a_file(tmp_path_factory: pytest.TempPathFactory, value: Any) -> None:
    path = tmp_path_factory.mktemp("junk") / "config.json"
    path.write_text(repr(value))
    with pytest.raises(ConfigError):
        read_facts(path)
