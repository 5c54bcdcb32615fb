"""All everyday settings; each is declared once with its name, meaning and Hydra key.

The tables are in ``knobs_shared`` and ``knobs_rl``. A knob's key depends on the kind of run; a kind
without a key for it does not show the knob. ``COMMAND`` marks a knob that shapes the command itself
(see ``jobs.verl.command``).
"""

from collections.abc import Iterator, Mapping

from jobs.verl.knob import COMMAND, LARGEST, Knob
from jobs.verl.knobs_rl import ALGORITHM, CRITIC, KL, REWARD, ROLLOUTS
from jobs.verl.knobs_shared import DATA, DPO, LORA, MEMORY, OPTIMISER, RUN
from jobs.verl.spec import TrainSpec, Value

__all__ = ["BY_NAME", "COMMAND", "KNOBS", "LARGEST", "Knob", "find", "knobs_of"]

KNOBS: tuple[Knob, ...] = (
    *DATA, *LORA, *DPO, *ALGORITHM, *KL, *REWARD, *OPTIMISER, *CRITIC, *ROLLOUTS, *MEMORY, *RUN,
)  # fmt: skip
BY_NAME: Mapping[str, Knob] = {knob.name: knob for knob in KNOBS}


def knobs_of(kind: str) -> Iterator[Knob]:
    """The knobs that a kind of run has, in the order of the form."""
    return (knob for knob in KNOBS if kind in knob.keys)


def find(kind: str, name_or_key: str) -> Knob | None:
    """The knob with this name or this Hydra key, or None if the kind has no such knob.

    If two knobs set the key, such as the clip ratio and its upper half, the narrower one is taken.
    """
    fitting = [k for k in knobs_of(kind) if name_or_key in (k.name, *k.keys[kind])]
    return min(
        fitting, key=lambda knob: (knob.name != name_or_key, len(knob.keys[kind])), default=None
    )


def value_of(spec: TrainSpec, name: str) -> Value | None:
    return spec.values.get(name)


def number(spec: TrainSpec, name: str, default: int = 1) -> int:
    """The value of a whole-number knob, or ``default`` when it is unset."""
    value = spec.values.get(name)
    return default if value is None else int(value)


def chosen(spec: TrainSpec, name: str) -> tuple[str, ...]:
    """The choices that a knob of type ``list`` holds."""
    return tuple(word for word in str(spec.values.get(name) or "").split(",") if word)
