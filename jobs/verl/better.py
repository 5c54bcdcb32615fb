"""Which side of a metric is the better one, by its name."""

import re
from collections.abc import Mapping

LOWER = frozenset({"loss", "nll", "perplexity", "ppl", "kl", "error", "errors", "wer"})
HIGHER = frozenset(
    {"acc", "accuracy", "reward", "rewards", "score", "scores", "margin", "return", "returns",
     "pass", "f1", "bleu", "rouge", "match", "win"}
)  # fmt: skip
# Of these the name would mislead: a policy's loss is no measure of it, a spread is none of quality.
NEITHER = frozenset({"pg_loss", "entropy_loss"})
SPREADS = frozenset({"std", "var", "stderr"})
# What an evaluation writes behind the name of a series that would mislead.
SAID: Mapping[str, bool] = {"lower": False, "higher": True}

# Whether more is better, where the words of a name do not say so.
NAMED: Mapping[str, bool] = {
    "perf/throughput": True,
    "critic/vf_explained_var": True,
    "timing_s/step": False,
}
# A checkpoint with less of it drifted less; but a run was not at its best where it had none.
DRIFTS = frozenset({"actor/ppo_kl", "actor/kl_loss"})


def is_higher_better(name: str) -> bool | None:
    """Whether a greater value is better; None where the name does not say.

    The last part of the name that says anything decides: a data set may be called anything. The
    time of a part of a step says nothing of what it made, nor does the reward of answers that were
    not to be chosen.
    """
    if name in NAMED:
        return NAMED[name]
    if name.startswith("timing_") or name.endswith("/rejected"):
        return None
    parts = name.lower().split("/")
    if parts[0] == "eval" and parts[-1] in SAID:
        return SAID[parts[-1]]
    for part in reversed(parts):
        words = set(re.split(r"[^a-z0-9]+", part))
        if part in NEITHER or words & SPREADS:
            return None
        if words & LOWER:
            return False
        if words & HIGHER:
            return True
    return None


def is_best_higher(name: str) -> bool | None:
    """As `is_higher_better`, for a page that says what a run's best value was."""
    return None if name in DRIFTS else is_higher_better(name)
