"""The figures of scored answers: means over prompts, the best of each, pass@k.

pass@k is the unbiased estimator of Chen et al. 2021, https://arxiv.org/abs/2107.03374, equation 1:
of n answers to a prompt of which c are right, 1 - C(n-c, k) / C(n, k), averaged over the prompts.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

SCORE, ACC = "score", "acc"
Numbers = Sequence[float | None]


@dataclass
class Scored:
    """The answers to one prompt, in the order of their samples; None where one has no score.
    `asked` is the digest of what the model was given, by which the pages of answers find it, and
    `text` the end of that."""

    scores: list[float | None]
    tokens: list[int | None]
    parts: dict[str, list[float | None]] = field(default_factory=dict)
    asked: str = ""
    text: str = ""

    @property
    def is_right(self) -> Numbers:
        """What says whether an answer is right: `acc` where the reward gives it, as verl takes it,
        else the score."""
        return self.parts.get(ACC, self.scores)


def mean(values: Iterable[float | None]) -> float | None:
    """The mean of those that are there; None of none."""
    found = [value for value in values if value is not None]
    return math.fsum(found) / len(found) if found else None


def pass_at(n: int, c: int, k: int) -> float:
    """The chance that one of k answers is right, of n of which c are."""
    if not 0 <= c <= n or not 1 <= k <= n:
        raise ValueError(f"pass@{k} of {c} right answers among {n}")
    return 1.0 - math.comb(n - c, k) / math.comb(n, k)


def metrics_of(prompts: Sequence[Scored], samples: int) -> tuple[dict[str, float], list[str]]:
    """The metrics, and in sentences what is not among them. A prompt without a scored answer is in
    no mean."""
    found: dict[str, float | None] = {
        "eval/score/mean": mean(mean(each.scores) for each in prompts),
        "eval/score/best": mean(_best(each.scores) for each in prompts),
    }
    names = dict.fromkeys(name for each in prompts for name in each.parts)
    for name in names:
        if name != SCORE:
            found[f"eval/{name}/mean"] = mean(mean(each.parts.get(name, ())) for each in prompts)
    left_out = []
    if all(_is_yes_or_no(each.is_right) for each in prompts):
        passed, said = _passes(prompts, samples)
        found |= passed
        left_out += said
    else:
        left_out.append("pass@k is left out: the score is not 0 or 1 alone, and no acc says which "
                        "answers are right.")  # fmt: skip
    found["eval/tokens/mean"] = mean(mean(each.tokens) for each in prompts)
    return {name: value for name, value in found.items() if value is not None}, left_out


def _passes(
    prompts: Sequence[Scored], samples: int
) -> tuple[Mapping[str, float | None], list[str]]:
    found: dict[str, float | None] = {}
    counts = [_count(each.is_right) for each in prompts]
    for k in steps_of(samples):
        found[f"eval/pass@{k}"] = mean(pass_at(n, c, k) for n, c in counts if n >= k)
    fewer = sum(0 < n < samples for n, _ in counts)
    said = [f"{fewer} prompts have fewer than {samples} scored answers: pass@k goes without those "
            "that have fewer than k."] if fewer else []  # fmt: skip
    return found, said


def steps_of(samples: int) -> list[int]:
    """The k of pass@k: powers of 2 below the number of answers, and that number."""
    return [*(2**power for power in range(samples.bit_length()) if 2**power < samples), samples]


def _count(is_right: Numbers) -> tuple[int, int]:
    known = [value for value in is_right if value is not None]
    return len(known), sum(value == 1 for value in known)


def _best(scores: Numbers) -> float | None:
    return max((score for score in scores if score is not None), default=None)


def _is_yes_or_no(values: Numbers) -> bool:
    return all(value in (0, 1) for value in values if value is not None)
