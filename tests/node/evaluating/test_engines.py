"""Which backend answers, and what vLLM and SGLang are given. They are stand-ins here: neither is
installed, so that what they make of it is not tried."""

import sys
from dataclasses import replace
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from trainyard_node.evaluating import engines, model
from trainyard_node.evaluating.generating import Answer
from trainyard_node.evaluating.spec import Asked
from trainyard_node.export.refused import Refused
from trainyard_node.rollout.choice import Request

WHOLE = SimpleNamespace(source="/m", is_shards=False, adapter="")
REQUESTS = [Request((5, 6), 4, 0.7, 0.9, 20, frozenset({1}), 11), Request((7,), 3)]


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The packages that are installed, on a machine with a GPU."""
    names: set[str] = set()
    monkeypatch.setattr(engines, "_is_there", names.__contains__)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(model, "stops", lambda described: frozenset({1}))
    return names


def test_auto_takes_what_is_installed_where_there_is_a_gpu(
    there: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert engines.chosen(Asked()) == "transformers"
    there.add("sglang")
    assert engines.chosen(Asked()) == "sglang"
    there.add("vllm")
    assert engines.chosen(Asked()) == "vllm"
    assert engines.chosen(Asked(backend="transformers")) == "transformers"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert engines.chosen(Asked()) == "transformers"


def test_shards_and_adapters_are_for_transformers() -> None:
    for described in (SimpleNamespace(is_shards=True, adapter=""),
                      SimpleNamespace(is_shards=False, adapter="/a")):  # fmt: skip
        assert engines.check_backend("vllm", Asked(), described) == "transformers"  # type: ignore[arg-type]
        with pytest.raises(Refused, match="choose transformers"):
            engines.check_backend("vllm", Asked(backend="vllm"), described)  # type: ignore[arg-type]
    assert engines.check_backend("vllm", Asked(backend="vllm"), WHOLE) == "vllm"  # type: ignore[arg-type]


def test_vllm_is_given_tokens_and_each_its_settings(
    there: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []

    class LLM:
        def __init__(self, **settings: Any) -> None:
            seen.append(settings)

        def generate(self, prompts: Any, settings: Any, use_tqdm: bool) -> list[Any]:
            seen.append((prompts, settings))
            ends = ("stop", "length")
            return [SimpleNamespace(outputs=[SimpleNamespace(token_ids=(2, 3), finish_reason=end)])
                    for end in ends]  # fmt: skip

    module: Any = ModuleType("vllm")
    module.LLM, module.SamplingParams = LLM, lambda **settings: settings
    monkeypatch.setitem(sys.modules, "vllm", module)
    engine = engines.engine_of("vllm", Asked(dtype="bf16"), WHOLE)  # type: ignore[arg-type]
    assert engine.answer(REQUESTS, 4) == [Answer([2, 3], True), Answer([2, 3], False)]
    made, (prompts, settings) = seen
    assert (made["model"], made["dtype"]) == ("/m", "bfloat16")
    assert prompts == [{"prompt_token_ids": [5, 6]}, {"prompt_token_ids": [7]}]
    assert settings[0] == {
        "max_tokens": 4, "temperature": 0.7, "top_p": 0.9, "top_k": 20, "stop_token_ids": [1],
        "seed": 11, "detokenize": False,
    }  # fmt: skip


def test_sglang_is_given_tokens_and_each_its_settings(
    there: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []

    class Engine:
        def __init__(self, **settings: Any) -> None:
            seen.append(settings)

        def generate(self, input_ids: Any, sampling_params: Any) -> list[Any]:
            seen.append((input_ids, sampling_params))
            return [{"output_ids": [2, 3], "meta_info": {"finish_reason": {"type": end}}}
                    for end in ("stop", "length")]  # fmt: skip

    module: Any = ModuleType("sglang")
    module.Engine = Engine
    monkeypatch.setitem(sys.modules, "sglang", module)
    engine = engines.engine_of("sglang", Asked(temperature=0.7), WHOLE)  # type: ignore[arg-type]
    requests = [replace(each, temperature=0.7, seed=2**40 + n) for n, each in enumerate(REQUESTS)]
    assert engine.answer(requests, 4) == [Answer([2, 3], True), Answer([2, 3], False)]
    made, (ids, settings) = seen
    assert made["enable_deterministic_inference"]
    assert [each["sampling_seed"] for each in settings] == [0, 1]  # which fit into its numbers
    assert (made["model_path"], made["dtype"]) == ("/m", "auto")
    assert ids == [[5, 6], [7]]
    assert settings[1]["max_new_tokens"] == 3
    assert settings[0]["stop_token_ids"] == [1]
    greedily = [replace(REQUESTS[1], temperature=0.0)]
    engines.engine_of("sglang", Asked(), WHOLE).answer(greedily, 4)  # type: ignore[arg-type]
    greedy, (_, [setting]) = seen[2:]
    assert "enable_deterministic_inference" not in greedy
    assert "sampling_seed" not in setting


@pytest.mark.parametrize("takes", [True, False])
def test_an_sglang_without_seeds_draws_no_answers(
    takes: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["sglang", "srt", "sampling", "sampling_params"]
    for nr in range(len(names)):
        monkeypatch.setitem(sys.modules, ".".join(names[: nr + 1]), ModuleType(names[nr]))
    module: Any = sys.modules[".".join(names)]

    def new(top_k: int = 1, sampling_seed: int = 0) -> None: ...
    def old(top_k: int = 1) -> None: ...

    module.SamplingParams = new if takes else old
    asked = Asked(backend="sglang", temperature=0.5)
    assert engines.check_backend("sglang", Asked(backend="sglang"), WHOLE) == "sglang"  # type: ignore[arg-type]
    if takes:
        assert engines.check_backend("sglang", asked, WHOLE) == "sglang"  # type: ignore[arg-type]
    else:
        with pytest.raises(Refused, match="draws all answers from one seed"):
            engines.check_backend("sglang", asked, WHOLE)  # type: ignore[arg-type]
        drawn = Asked(temperature=0.5)
        assert engines.check_backend("sglang", drawn, WHOLE) == "transformers"  # type: ignore[arg-type]
