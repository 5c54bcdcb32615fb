"""Which side of a metric is the better one, by its name."""

import re

LOWER = frozenset({"loss", "nll", "perplexity", "ppl", "kl", "error", "errors", "wer"})
HIGHER = frozenset(
    {"acc", "accuracy", "reward", "rewards", "score", "scores", "margin", "return", "returns",
     "pass", "f1", "bleu", "rouge", "match", "win"}
)  # fmt: skip
# Of these the name would mislead: a policy's loss is no measure of it, a spread is none of quality.
NEITHER = frozenset({"pg_loss", "entropy_loss"})
SPREADS = frozenset({"std", "var"})


def is_higher_better(name: str) -> bool | None:
    """Whether a greater value is better; None where the name does not say.

    The last part of the name that says anything decides: a data set may be called anything.
    """
    for part in reversed(name.lower().split("/")):
        words = set(re.split(r"[^a-z0-9]+", part))
        if part in NEITHER or words & SPREADS:
            return None
        if words & LOWER:
            return False
        if words & HIGHER:
            return True
    return None
