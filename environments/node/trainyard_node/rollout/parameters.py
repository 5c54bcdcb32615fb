"""Convert verl's sampling parameters to a request, as its vLLM server reads them."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from trainyard_node.rollout.choice import Request


@dataclass(frozen=True)
class Limits:
    """Lengths in tokens. `context` is the model's, or a smaller one that was set."""

    prompt: int
    response: int
    context: int

    def answer_tokens(self, prompt_length: int, asked: int | None) -> int:
        """The maximum number of tokens of an answer. Raises ValueError where there is no room."""
        room = self.context - prompt_length
        if room < 1:
            raise ValueError(
                f"a prompt of {prompt_length} tokens leaves no room for an answer within "
                f"the context of {self.context} tokens"
            )
        if asked is None:
            asked = min(self.response, self.prompt + self.response - prompt_length)
        return max(1, min(asked, room))


@dataclass
class Seeds:
    """Seeds of requests. The same server seed, model version and prompt give the same answers, in
    whatever order the requests arrive; the n answers to one prompt differ."""

    server: int
    _asked: Counter[tuple[int, ...]] = field(default_factory=Counter)

    def next(self, prompt: tuple[int, ...], version: int | None) -> int:
        turn = self._asked[prompt]
        self._asked[prompt] += 1
        text = repr((self.server, version, turn, prompt)).encode()
        return int.from_bytes(hashlib.blake2b(text, digest_size=7).digest(), "big")

    def forget(self) -> None:
        """Restart the counters; called when the model changes."""
        self._asked.clear()


def build_request(
    prompt: Sequence[int],
    parameters: Mapping[str, Any],
    limits: Limits,
    stop: frozenset[int],
    seed: int,
) -> Request:
    """The request for one prompt. Raises ValueError for parameters that this rollout lacks."""
    if parameters.get("repetition_penalty", 1.0) != 1.0:
        raise ValueError("the hf rollout has no repetition_penalty")
    own_seed = parameters.get("seed")
    also_stop = parameters.get("stop_token_ids") or ()
    asked = parameters.get("max_tokens", parameters.get("max_new_tokens"))
    return Request(
        prompt=tuple(prompt),
        max_tokens=limits.answer_tokens(len(prompt), asked),
        temperature=float(parameters.get("temperature", 1.0)),
        top_p=float(parameters.get("top_p", 1.0)),
        # vLLM accepts both 0 and -1 for "off".
        top_k=int(parameters.get("top_k") or -1),
        stop=frozenset() if parameters.get("ignore_eos") else stop | frozenset(also_stop),
        seed=seed if own_seed is None else int(own_seed),
    )
