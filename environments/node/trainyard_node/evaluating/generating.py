"""Answers of a transformers model, a batch at a time: plain torch, with a cache of keys and values.

Each answer draws from its own seed, and a row that is done leaves the batch, so an answer does not
hang on what else is in its batch, but for the rounding of sums.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from trainyard_node.rollout.choice import Request, Settings, pick

SHARE_DONE = 0.25  # of a batch that is done before the rest goes on alone


@dataclass
class Answer:
    """New tokens, the end token with them, and whether it was reached."""

    ids: list[int]
    ended: bool = False


def seed_of(seed: int, key: str, sample: int) -> int:
    """The seed of one answer: the same for a prompt wherever it stands among others."""
    text = repr((seed, key, sample)).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=7).digest(), "big")


@torch.inference_mode()
def answers_to(model: Any, requests: Sequence[Request], pad: int, longest: int) -> list[Answer]:
    """Answer all in one batch, padded on the left; none of any batch is longer than `longest`."""
    answers = [Answer([]) for _ in requests]
    state = _State.of(requests, pad, longest, model.device)
    for step in range(longest):
        logits = state.next(model)
        tokens = pick(logits, state.settings, step)
        state.extend(answers, requests, tokens)
        if not state.alive:
            break
        state.shrink()
    return answers


@dataclass
class _State:
    """The rows of a batch that go on. `rows` are their numbers among all; `alive` those that are
    not done."""

    rows: list[int]
    ids: torch.Tensor
    mask: torch.Tensor
    position: torch.Tensor
    settings: Settings
    alive: set[int]
    cache: Any = None

    @classmethod
    def of(cls, requests: Sequence[Request], pad: int, longest: int, device: Any) -> "_State":
        width = max(len(request.prompt) for request in requests)
        gaps = [width - len(request.prompt) for request in requests]
        each = list(zip(gaps, requests, strict=True))
        ids = torch.tensor([[pad] * gap + list(one.prompt) for gap, one in each], device=device)
        mask = torch.tensor([[0] * gap + [1] * (width - gap) for gap in gaps], device=device)
        position = mask.cumsum(1).sub(1).clamp(min=0)
        rows = list(range(len(requests)))
        settings = Settings.of(requests, longest).to(device)
        return cls(rows, ids, mask, position, settings, set(rows))

    def next(self, model: Any) -> torch.Tensor:
        """The logits of the next token, and room for it."""
        output = model(
            input_ids=self.ids, attention_mask=self.mask, position_ids=self.position,
            past_key_values=self.cache, use_cache=True, logits_to_keep=1,
        )  # fmt: skip
        self.cache = output.past_key_values
        self.position = self.position[:, -1:] + 1
        self.mask = torch.cat([self.mask, self.mask.new_ones(len(self.rows), 1)], dim=1)
        logits: torch.Tensor = output.logits[:, -1].float()
        return logits

    def extend(
        self, answers: list[Answer], requests: Sequence[Request], tokens: torch.Tensor
    ) -> None:
        """Add a token to each answer that goes on."""
        self.ids = tokens[:, None]
        for row, token in zip(self.rows, tokens.tolist(), strict=True):
            if row not in self.alive:
                continue
            answer, request = answers[row], requests[row]
            answer.ids.append(token)
            answer.ended = token in request.stop
            if answer.ended or len(answer.ids) == request.max_tokens:
                self.alive.discard(row)

    def shrink(self) -> None:
        """Leave out what is done, once that is worth the copy."""
        if len(self.alive) > (1 - SHARE_DONE) * len(self.rows):
            return
        kept = [at for at, row in enumerate(self.rows) if row in self.alive]
        which = torch.tensor(kept, device=self.ids.device)
        self.rows = [self.rows[at] for at in kept]
        self.ids, self.mask = self.ids[which], self.mask[which]
        self.position = self.position[which]
        self.settings = self.settings.of_rows(which)
        self.cache.batch_select_indices(which)
