"""What the estimate answers: bytes per phase and category, times, cost, and how sure it is."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

# Phases of a step.
UPDATE, CRITIC, LOG_PROB, REF, VALUES, ROLLOUT, REWARD, SYNC, SAVE = (
    "update", "critic", "log_prob", "ref", "values", "rollout", "reward_model", "weight_sync",
    "save",
)  # fmt: skip
# What takes memory in a phase. ``others`` is what the other roles on the same card keep meanwhile.
CATEGORIES = (
    "weights", "gradients", "optimizer", "activations", "logits", "kv_cache", "overhead", "others",
)  # fmt: skip


@dataclass(frozen=True)
class Remark:
    """A sentence about a setting. ``field`` is the setting's name, empty for the whole."""

    message: str
    field: str = ""


@dataclass(frozen=True)
class Memory:
    """Bytes on one GPU for each phase and category, at that phase's peak.

    ``band`` is the range, in bytes, in which the peak of the whole step lies; ``host`` is what one
    machine needs of its own memory, ``object_store`` Ray's share of it, ``checkpoint`` one saved
    step on disk and ``disk`` all that are kept at once, None
    where their number is not known.
    """

    phases: Mapping[str, Mapping[str, int]]
    band: tuple[int, int]
    host: int
    object_store: int
    checkpoint: int
    disk: int | None
    remarks: tuple[Remark, ...] = ()

    @cached_property
    def peaks(self) -> Mapping[str, int]:
        return {phase: sum(parts.values()) for phase, parts in self.phases.items()}

    @cached_property
    def peak(self) -> int:
        return max(self.peaks.values(), default=0)


@dataclass(frozen=True)
class Time:
    """Seconds of one training step for each phase, and what follows from them.

    ``band`` is the factor below and above ``seconds`` in which the truth lies, such as (0.8, 1.25).
    ``tokens_per_second`` counts prompt and answer tokens over all GPUs, ``mfu`` is the share of the
    cards' dense bf16 products, by the count that ``mfu_counts`` names. ``basis`` says where the
    figures come from: measured kernels, or the roofline.
    """

    phases: Mapping[str, float]
    band: tuple[float, float]
    tokens_per_second: float
    mfu: float | None
    mfu_counts: str
    basis: str
    remarks: tuple[Remark, ...] = ()

    @property
    def seconds(self) -> float:
        return sum(self.phases.values())


@dataclass(frozen=True)
class Estimate:
    """``fits`` is None where the band of the peak holds the card's memory: it is not sure then.
    ``cost`` is in the currency of the price table, None without a price or a number of steps.
    ``runs`` is how many finished runs it learned from, ``told`` says where the lengths come from if
    earlier runs measured them. ``cards`` are all that the job takes."""

    memory: Memory
    time: Time | None
    fits: bool | None
    cards: int
    total_seconds: float | None = None
    cost: float | None = None
    remarks: tuple[Remark, ...] = field(default=())
    runs: int = 0
    told: str = ""
