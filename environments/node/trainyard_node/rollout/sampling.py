"""Batched sampling from a causal language model: plain torch, no verl, no Ray.

Each request draws random numbers from its own seed, so its answer does not depend on the other
requests in its batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from trainyard_node.rollout.choice import Request, Settings, choose


@dataclass
class Answer:
    """An answer: its new tokens, their log-probabilities under softmax(logits / temperature) before
    any top-p or top-k (as verl's actor computes them), and whether the end token was reached."""

    token_ids: list[int]
    log_probs: list[float]
    ended: bool


@torch.inference_mode()
def generate(model: Any, requests: Sequence[Request], pad_token_id: int) -> list[Answer]:
    """Answer every request in one batch, padded on the left. `model` is a transformers causal
    language model in eval mode; its context must hold the longest prompt plus its answer."""
    ids, mask = _left_padded(requests, pad_token_id)
    settings = Settings.of(requests)
    answers = [Answer([], [], False) for _ in requests]
    position = mask.cumsum(1).sub(1).clamp(min=0)
    cache = None
    for step in range(settings.longest):
        output = model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=position,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        cache = output.past_key_values
        tokens, log_probs = choose(output.logits[:, -1].float(), settings, step)
        if not _extend(answers, requests, tokens.tolist(), log_probs.tolist()):
            break
        ids, position = tokens[:, None], position[:, -1:] + 1
        mask = torch.cat([mask, mask.new_ones(len(requests), 1)], dim=1)
    return answers


def _extend(
    answers: list[Answer],
    requests: Sequence[Request],
    tokens: list[int],
    log_probs: list[float],
) -> bool:
    """Add one token to each unfinished answer; return False once all are finished."""
    unfinished = False
    for answer, request, token, log_prob in zip(answers, requests, tokens, log_probs, strict=True):
        if answer.ended or len(answer.token_ids) == request.max_tokens:
            continue
        answer.token_ids.append(token)
        answer.log_probs.append(log_prob)
        answer.ended = token in request.stop
        unfinished |= not answer.ended and len(answer.token_ids) < request.max_tokens
    return unfinished


def _left_padded(
    requests: Sequence[Request], pad_token_id: int
) -> tuple[torch.Tensor, torch.Tensor]:
    width = max(len(request.prompt) for request in requests)
    gaps = [width - len(request.prompt) for request in requests]
    ids = [
        [pad_token_id] * gap + list(request.prompt)
        for gap, request in zip(gaps, requests, strict=True)
    ]
    mask = [[0] * gap + [1] * (width - gap) for gap in gaps]
    return torch.tensor(ids), torch.tensor(mask)
