"""The type of a knob, and short ways to write its Hydra keys for the kinds of run that have it."""

from collections.abc import Mapping
from dataclasses import dataclass

from jobs.verl.algorithms import RL, SUPERVISED

COMMAND = "(command)"
LARGEST = 2**31 - 1  # whole numbers above it fit neither verl nor the database
Keys = dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class Knob:
    """One everyday setting.

    ``keys`` holds the Hydra keys that it sets, by kind of run, as the newest release names them;
    a kind without an entry does not have the knob. A knob of type ``list`` holds some of its
    ``choices`` as text, joined by commas.
    """

    name: str
    label: str
    group: str
    type: type
    help: str
    keys: Mapping[str, tuple[str, ...]]
    unit: str = ""
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    required: bool = False
    # What verl counts more than the form does.
    offset: int = 0
    # What more is to be known of it in PPO, which trains two models.
    help_in_ppo: str = ""

    def help_of(self, kind: str) -> str:
        """What a kind's form says of it."""
        return f"{self.help} {self.help_in_ppo}".strip() if kind == "ppo" else self.help

    def key(self, kind: str) -> str:
        """The Hydra key shown for a kind: the first of the keys that the knob sets."""
        return self.keys[kind][0]


def everywhere(supervised: str, *rl: str, ppo: tuple[str, ...] = ()) -> Keys:
    """Keys for all kinds: one for SFT and DPO, those for RL where they differ, PPO's extra ones."""
    return {**only(SUPERVISED, supervised), **in_rl(*(rl or (supervised,)), ppo=ppo)}


def in_rl(*keys: str, ppo: tuple[str, ...] = ()) -> Keys:
    return {**only(RL, *keys), "ppo": (*keys, *ppo)}


def supervised(*keys: str) -> Keys:
    return only(SUPERVISED, *keys)


def only(kinds: tuple[str, ...], *keys: str) -> Keys:
    return dict.fromkeys(kinds, keys)
