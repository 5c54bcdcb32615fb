"""Choose the next token of each row of a batch, by the row's own settings."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

# verl's engine raises a temperature to this value before it divides by it.
LOWEST_TEMPERATURE = 1e-8


@dataclass(frozen=True)
class Request:
    """One prompt. temperature 0 is greedy; top_p 1 and top_k -1 are off; max_tokens >= 1;
    generation ends with (and includes) the first token of `stop`."""

    prompt: tuple[int, ...]
    max_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = -1
    stop: frozenset[int] = frozenset()
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.prompt or self.max_tokens < 1:
            raise ValueError("a request needs a prompt and room for one token")
        if self.temperature < 0 or not 0 < self.top_p <= 1 or (self.top_k < 1 and self.top_k != -1):
            raise ValueError(f"temperature, top_p or top_k is out of range: {self}")


@dataclass
class Settings:
    """The requests' settings as columns of (batch,); `uniform` is (batch, longest)."""

    temperature: torch.Tensor
    top_p: torch.Tensor
    top_k: torch.Tensor
    uniform: torch.Tensor
    longest: int

    @classmethod
    def of(cls, requests: Sequence[Request], longest: int = 0) -> "Settings":
        """Where `longest` is given, what a request draws does not hang on the others."""
        longest = max(longest, *(request.max_tokens for request in requests))
        return cls(
            temperature=torch.tensor([request.temperature for request in requests]),
            top_p=torch.tensor([request.top_p for request in requests]),
            top_k=torch.tensor([request.top_k for request in requests]),
            uniform=torch.stack([_uniform(request, longest) for request in requests]),
            longest=longest,
        )

    def of_rows(self, which: torch.Tensor) -> "Settings":
        """Those of some rows."""
        return self._each(lambda column: column[which])

    def to(self, device: torch.device) -> "Settings":
        return self._each(lambda column: column.to(device))

    def _each(self, change: Callable[[torch.Tensor], torch.Tensor]) -> "Settings":
        return Settings(
            temperature=change(self.temperature), top_p=change(self.top_p),
            top_k=change(self.top_k), uniform=change(self.uniform), longest=self.longest,
        )  # fmt: skip


def pick(logits: torch.Tensor, settings: Settings, step: int) -> torch.Tensor:
    """The tokens that `choose` gives, without their log-probabilities."""
    if not bool((settings.temperature > 0).any()):
        return logits.argmax(-1)
    return choose(logits, settings, step)[0]


def choose(
    logits: torch.Tensor, settings: Settings, step: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Choose tokens from (batch, vocabulary) logits: (batch,) tokens and log-probabilities."""
    scaled = logits / settings.temperature.clamp(min=LOWEST_TEMPERATURE)[:, None]
    log_probs = torch.log_softmax(scaled, dim=-1)
    drawn = _draw(_filtered(log_probs.exp(), settings), settings.uniform[:, step])
    tokens = torch.where(settings.temperature > 0, drawn, logits.argmax(-1))
    return tokens, log_probs.gather(1, tokens[:, None]).squeeze(1)


def _filtered(probs: torch.Tensor, settings: Settings) -> torch.Tensor:
    if bool((settings.top_k == -1).all()) and bool((settings.top_p == 1).all()):
        return probs
    ordered, order = probs.sort(dim=-1, descending=True)
    size = probs.shape[-1]
    top_k = torch.where(settings.top_k == -1, size, settings.top_k)[:, None]
    ordered = ordered.masked_fill(torch.arange(size, device=probs.device)[None] >= top_k, 0.0)
    ordered = ordered / ordered.sum(-1, keepdim=True)
    # The token that crosses top_p still counts; only tokens wholly beyond it are cut.
    before = ordered.cumsum(-1) - ordered
    ordered = ordered.masked_fill(before >= settings.top_p[:, None], 0.0)
    return torch.zeros_like(probs).scatter(1, order, ordered)


def _draw(probs: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
    """Invert the cumulative distribution at (batch,) uniform numbers in [0, 1)."""
    cumulative = probs.double().cumsum(-1)
    target = uniform[:, None] * cumulative[:, -1:]
    # right=True skips tokens of probability 0, also at the very start.
    return torch.searchsorted(cumulative, target, right=True).squeeze(1)


def _uniform(request: Request, count: int) -> torch.Tensor:
    """What a request draws; a greedy one draws nothing."""
    if not request.temperature:
        return torch.zeros(1, dtype=torch.float64).expand(count)
    generator = torch.Generator().manual_seed(request.seed)
    return torch.rand(count, generator=generator, dtype=torch.float64)


def end_tokens(tokenizer: Any, generation_config: Any) -> frozenset[int]:
    """The end tokens of the tokenizer and of the model, which may have one id or several."""
    ids = getattr(generation_config, "eos_token_id", None)
    several = ids if isinstance(ids, list | tuple) else [ids]
    return frozenset(int(i) for i in [*several, tokenizer.eos_token_id] if i is not None)
