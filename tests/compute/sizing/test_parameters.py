"""How many parameters a model has: published totals, and what is said of an unknown model."""

from copy import copy

from compute.sizing.facts import read_facts
from compute.sizing.parameters import LayerParameters, parameters_of
from tests.compute.sizing import configs


def total(name: str) -> int:
    return parameters_of(read_facts(configs.ALL[name])).total


def test_published_totals() -> None:
    """As the model cards' safetensors say; DeepSeek's without the router's correction buffers."""
    assert {name: total(name) for name in configs.ALL if name != "opt-125m"} == {
        "Llama-3.1-8B": 8_030_261_248,
        "Qwen2.5-0.5B": 494_032_768,
        "Qwen3-8B": 8_190_735_360,
        "Qwen3-30B-A3B": 30_532_122_624,
        "Qwen1.5-MoE-A2.7B": 14_315_784_192,
        "Mixtral-8x7B": 46_702_792_704,
        "DeepSeek-V3": 671_026_404_352,
        "gemma-2-2b": 2_614_341_888,
        "gemma-3-4b": 3_880_263_168,
        "Mistral-7B-v0.1": 7_241_732_096,
        "phi-2": 2_779_683_840,
        "Phi-3.5-mini": 3_821_079_552,
        "glm-4-9b": 9_399_951_360,
        "GLM-4.5-Air": 106_852_245_504,
        "gpt2": 124_439_808,
    }


def test_where_they_are() -> None:
    found = parameters_of(read_facts(configs.QWEN_3_30B_A3B))
    assert found.embedding == found.head == 151936 * 2048
    assert found.final_norm == 2048
    assert set(found.layers) == {
        LayerParameters(
            attention=2048 * (2 * 4096 + 2 * 512),
            mlp=0,
            norms=2 * 2048 + 2 * 128,
            router=128 * 2048,
            experts=128 * 3 * 2048 * 768,
            active_experts=8 * 3 * 2048 * 768,
        )
    }
    assert found.active == found.total - 48 * 120 * 3 * 2048 * 768


def test_an_unknown_model_is_estimated_and_says_from_what() -> None:
    config = configs.LLAMA_3_8B | {"model_type": "bespoke"}
    del config["num_key_value_heads"]
    found = parameters_of(read_facts(config))
    assert found.assumed == (
        "kv_heads", "head_dim", "biases", "qk_norm", "gated_mlp", "norms",
    )  # fmt: skip
    assert found.total == 8_030_261_248 + 32 * 4096 * 2 * 3072  # as if each head had its own keys
    assert parameters_of(read_facts(configs.LLAMA_3_8B)).assumed == ()


def test_facts_are_the_same_key_when_read_twice_and_when_sent_elsewhere() -> None:
    first, second = read_facts(configs.QWEN_3_8B), read_facts(configs.QWEN_3_8B)
    assert {first: "once"}[second] == "once"
    assert parameters_of(first) is parameters_of(second)
    sent = copy(first)
    assert sent == first
    assert "_hash" not in vars(sent)  # another process counts strings otherwise
