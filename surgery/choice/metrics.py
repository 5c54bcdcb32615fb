"""What the name of a metric says of it: whether it is of validation, of reward or of KL."""

from collections.abc import Iterable

from jobs.verl.better import is_higher_better

# KL from the model that training began with. ``actor/ppo_kl`` is of one update, and no such thing.
KL = ("actor/kl_loss", "actor/reward_kl_penalty")
REWARDS = ("critic/score/mean", "critic/rewards/mean")


def is_validation(name: str) -> bool:
    return name.startswith(("val/", "val-core/", "val-aux/"))


def evaluated(names: Iterable[str]) -> list[str]:
    """The scores and losses that evaluations found: one of each set of prompts."""
    of_sets = dict[str, str]()
    for name in sorted(names):
        kind, _, rest = name.partition("/")
        known = kind == "eval" and name.endswith(("/score/mean", "/loss", "/acc"))
        if known and is_higher_better(name) is not None:
            of_sets.setdefault(rest.partition("/")[0], name)
    return list(of_sets.values())


def validation_of(names: Iterable[str]) -> str | None:
    """The metric by which validation is judged: verl's own choice, or a loss, by its name.

    None where no metric is of validation with a known better side.
    """
    known = [name for name in names if is_validation(name) and is_higher_better(name) is not None]
    return min(known, key=_rank, default=None)


def _rank(name: str) -> tuple[bool, bool, str]:
    return not name.startswith("val-core/"), name != "val/loss", name


def reward_of(names: Iterable[str]) -> str | None:
    """The metric of reward: of validation if there is one, or else of training."""
    known = set(names)
    of_validation = validation_of(name for name in known if is_higher_better(name))
    return of_validation or next((name for name in REWARDS if name in known), None)


def kl_of(names: Iterable[str]) -> str | None:
    """The metric of the KL from the model that training began with."""
    known = set(names)
    return next((name for name in KL if name in known), None)
