"""Answers of a batch, against transformers' own and against other batches."""

from typing import Any

import pytest
import torch
from trainyard_node.evaluating.generating import answers_to, seed_of
from trainyard_node.evaluating.prompts import chunks
from trainyard_node.rollout.choice import Request
from transformers import Qwen2Config, Qwen2ForCausalLM

PAD, END, LONGEST = 0, 1, 9
PROMPTS = [(5,), (3, 4, 5), (2,) * 7, (6, 7), (8, 9, 2, 3, 4)]


@pytest.fixture(scope="module")
def model() -> Any:
    torch.manual_seed(3)
    config = Qwen2Config(
        vocab_size=13, hidden_size=16, intermediate_size=32, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=1, max_position_embeddings=32,
        eos_token_id=END, pad_token_id=PAD, bos_token_id=None, initializer_range=0.5,
    )  # fmt: skip
    return Qwen2ForCausalLM(config).eval()


def requests(temperature: float = 0.0, **more: Any) -> list[Request]:
    return [
        Request(prompt, LONGEST - at, temperature, stop=frozenset({END}), seed=at, **more)
        for at, prompt in enumerate(PROMPTS)
    ]


def test_greedy_answers_are_those_of_transformers(model: Any) -> None:
    found = answers_to(model, requests(), PAD, LONGEST)
    for request, answer in zip(requests(), found, strict=True):
        ids = torch.tensor([request.prompt])
        theirs = model.generate(
            ids, attention_mask=torch.ones_like(ids), do_sample=False,
            max_new_tokens=request.max_tokens,
        )  # fmt: skip
        assert answer.ids == theirs[0, len(request.prompt) :].tolist()
        assert answer.ended is (answer.ids[-1] == END)


@pytest.mark.parametrize("settings", [{"temperature": 0.0}, {"temperature": 1.0},
                                      {"temperature": 0.7, "top_p": 0.9, "top_k": 5}])  # fmt: skip
def test_an_answer_does_not_hang_on_its_batch(model: Any, settings: dict[str, Any]) -> None:
    whole = answers_to(model, requests(**settings), PAD, LONGEST)
    assert len({len(answer.ids) for answer in whole}) > 1  # some are done before others
    alone = [answers_to(model, [one], PAD, LONGEST)[0] for one in requests(**settings)]
    assert whole == alone
    assert whole == answers_to(model, requests(**settings)[::-1], PAD, LONGEST)[::-1]


def test_each_answer_to_a_prompt_draws_its_own_numbers() -> None:
    seeds = {seed_of(seed, key, sample) for seed in (0, 1) for key in "ab" for sample in (0, 1)}
    assert len(seeds) == 8
    assert seed_of(0, "a", 1) == seed_of(0, "a", 1)


def test_batches_keep_to_what_fits_with_their_padding() -> None:
    lengths = dict(enumerate([9, 8, 4, 4, 1, 1, 1]))
    assert [*chunks(range(7), lengths, 3, 20, 1)] == [[0, 1], [2, 3, 4], [5, 6]]
    assert [*chunks(range(3), lengths, 3, 5, 0)] == [[0], [1], [2]]
    assert [*chunks([], lengths, 3, 5, 0)] == []
