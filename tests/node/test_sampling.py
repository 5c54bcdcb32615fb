"""Sampling on a very small model, against plain forward passes."""

from collections import Counter
from typing import Any

import pytest
import torch
from trainyard_node.rollout.choice import Request, Settings, choose
from trainyard_node.rollout.parameters import Limits, Seeds, build_request
from trainyard_node.rollout.sampling import generate
from transformers import Qwen2Config, Qwen2ForCausalLM

PAD, END = 0, 1
LIMITS = Limits(prompt=6, response=4, context=16)


@pytest.fixture(scope="module")
def model() -> Any:
    torch.manual_seed(3)
    config = Qwen2Config(
        vocab_size=13, hidden_size=16, intermediate_size=32, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=1, max_position_embeddings=32,
    )  # fmt: skip
    return Qwen2ForCausalLM(config).eval()


def forward_log_probs(model: Any, request: Request, tokens: list[int]) -> list[float]:
    """What the actor computes: one forward pass over prompt and answer, logits / temperature."""
    ids = torch.tensor([[*request.prompt, *tokens]])
    with torch.inference_mode():
        logits = model(input_ids=ids).logits[0, len(request.prompt) - 1 : -1]
    scaled = torch.log_softmax(logits.float() / max(request.temperature, 1e-8), -1)
    chosen: list[float] = scaled.gather(1, torch.tensor(tokens)[:, None]).squeeze(1).tolist()
    return chosen


def draw(logits: list[float], count: int = 4000, **settings: Any) -> Counter[int]:
    requests = [Request((5,), 1, seed=seed, **settings) for seed in range(count)]
    tokens, _ = choose(torch.tensor([logits] * count), Settings.of(requests), 0)
    return Counter(tokens.tolist())


def test_log_probs_agree_with_a_plain_forward(model: Any) -> None:
    requests = [
        Request((3, 4, 5), 9, temperature=1.0, seed=1),
        Request((7,), 4, temperature=0.6, seed=2),
        Request((2, 2, 9, 8, 3), 7, temperature=1.4, top_p=0.7, top_k=5, seed=3),
        Request((6, 5), 8, temperature=0.0, seed=4),
    ]
    for request, answer in zip(requests, generate(model, requests, PAD), strict=True):
        assert len(answer.token_ids) == request.max_tokens
        expected = forward_log_probs(model, request, answer.token_ids)
        assert answer.log_probs == pytest.approx(expected, abs=1e-4)


def test_an_answer_does_not_depend_on_its_batch(model: Any) -> None:
    one = Request((3, 4), 8, seed=11)
    alone = generate(model, [one], PAD)[0]
    others = [Request((5, 6, 7, 8), 12, seed=seed) for seed in range(5)]
    assert generate(model, [*others, one], PAD)[-1].token_ids == alone.token_ids
    other_seed = Request((3, 4), 8, seed=12)
    assert generate(model, [other_seed], PAD)[0].token_ids != alone.token_ids


def test_temperature_zero_is_greedy(model: Any) -> None:
    request = Request((3, 4, 5), 5, temperature=0.0)
    answer = generate(model, [request], PAD)[0]
    ids = list(request.prompt)
    for token in answer.token_ids:
        with torch.inference_mode():
            assert int(model(input_ids=torch.tensor([ids])).logits[0, -1].argmax()) == token
        ids.append(token)


def test_generation_ends_with_a_stop_token(model: Any) -> None:
    request = Request((3, 4, 5), 12, seed=5)
    free = generate(model, [request], PAD)[0]
    stop = free.token_ids[4]
    stopped = generate(model, [Request((3, 4, 5), 12, seed=5, stop=frozenset({stop, 99}))], PAD)[0]
    first = free.token_ids.index(stop)
    assert stopped.token_ids == free.token_ids[: first + 1]
    assert (stopped.ended, free.ended) == (True, False)
    assert len(stopped.log_probs) == first + 1


def test_temperature_scales_the_distribution() -> None:
    logits = [0.0, 1.0, 2.0]
    for temperature in (0.5, 1.0, 2.0):
        expected = torch.softmax(torch.tensor(logits) / temperature, 0).tolist()
        counts = draw(logits, temperature=temperature)
        assert [counts[token] / 4000 for token in range(3)] == pytest.approx(expected, abs=0.03)


def test_top_k_keeps_the_k_best() -> None:
    assert set(draw([0.0, 3.0, 2.0, 1.0], top_k=2)) == {1, 2}
    assert set(draw([0.0, 3.0, 2.0, 1.0], top_k=1)) == {1}
    assert set(draw([0.0, 0.1, 0.2], top_k=-1)) == {0, 1, 2}


def test_top_p_keeps_the_token_that_crosses_it() -> None:
    logits = torch.tensor([0.5, 0.3, 0.2]).log().tolist()
    assert set(draw(logits, top_p=0.4)) == {0}
    assert set(draw(logits, top_p=0.6)) == {0, 1}
    assert set(draw(logits, top_p=1.0)) == {0, 1, 2}
    counts = draw(logits, top_p=0.6)
    assert counts[0] / 4000 == pytest.approx(0.5 / 0.8, abs=0.03)


def test_an_impossible_token_is_never_drawn() -> None:
    assert set(draw([float("-inf"), 0.0, float("-inf"), 0.0, float("-inf")])) == {1, 3}


@pytest.mark.parametrize(
    "wrong",
    [{"temperature": -1.0}, {"top_p": 0.0}, {"top_p": 1.1}, {"top_k": 0}, {"max_tokens": 0}],
)
def test_settings_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"out of range|room for one token"):
        Request(**{"prompt": (1,), "max_tokens": 1, **wrong})


@pytest.mark.parametrize(
    ("length", "asked", "expected"),
    [(6, None, 4), (3, None, 4), (8, None, 2), (6, 99, 10), (15, None, 1), (6, 2, 2), (12, 0, 1)],
)
def test_room_for_an_answer(length: int, asked: int | None, expected: int) -> None:
    assert LIMITS.answer_tokens(length, asked) == expected


def test_a_prompt_as_long_as_the_context_is_refused() -> None:
    with pytest.raises(ValueError, match="no room"):
        LIMITS.answer_tokens(16, 1)


def test_request_from_verls_parameters() -> None:
    parameters = {"temperature": 0.7, "top_p": 0.9, "top_k": 0, "logprobs": True, "max_tokens": 3}
    request = build_request(
        [4, 5], {**parameters, "stop_token_ids": [8]}, LIMITS, frozenset({END}), 42
    )
    assert request == Request((4, 5), 3, 0.7, 0.9, -1, frozenset({END, 8}), 42)
    endless = build_request([4], {"ignore_eos": True, "seed": 7}, LIMITS, frozenset({END}), 42)
    assert (endless.stop, endless.seed) == (frozenset(), 7)
    with pytest.raises(ValueError, match="repetition_penalty"):
        build_request([4], {"repetition_penalty": 1.2}, LIMITS, frozenset({END}), 42)


def test_seeds_repeat_from_run_to_run_and_differ_within_one() -> None:
    prompts = [(1, 2), (1, 2), (3,), (1, 2)]
    first, second = Seeds(42), Seeds(42)
    seeds = [first.next(prompt, 5) for prompt in prompts]
    assert len(set(seeds)) == 4
    assert seeds[2] == second.next((3,), 5), "whatever came before"
    assert Seeds(43).next((3,), 5) != seeds[2] != Seeds(42).next((3,), 6)
