"""An estimate as pages show it: bars for each phase, the card's limit, and what it is worth."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from compute.sizing.answer import CATEGORIES, Estimate
from compute.sizing.gpus import Gpu

WIDTH = 1000  # units of a bar's drawing
ROOM = 1.1  # so that the card's limit does not lie on the edge
PHASES = {
    "update": "Update", "critic": "Update of the critic", "log_prob": "Log-probs",
    "ref": "Reference", "values": "Values", "rollout": "Rollout", "reward_model": "Reward model",
    "weight_sync": "Weight sync", "save": "Checkpoint",
}  # fmt: skip
LABELS = {
    "weights": "Weights", "gradients": "Gradients", "optimizer": "Optimiser",
    "activations": "Activations", "logits": "Logits", "kv_cache": "KV cache",
    "overhead": "Overhead", "others": "Other roles",
}  # fmt: skip
VERDICTS = {True: "fits", False: "does not fit", None: "may not fit"}
STATUSES = {True: "completed", False: "failed", None: "lost"}  # their colours and icons


@dataclass(frozen=True)
class Part:
    """A piece of a bar: ``at`` and ``width`` are in the units of the drawing."""

    category: str
    label: str
    bytes: int
    at: float
    width: float


@dataclass(frozen=True)
class Bar:
    """A phase of a step. ``peak`` is None where it takes time and no memory that is counted."""

    phase: str
    label: str
    peak: int | None
    parts: Sequence[Part]
    sizes: Sequence[int]  # bytes by category, of all that any phase has
    seconds: float | None


@dataclass(frozen=True)
class Ledger:
    """``limit``, ``low`` and ``high`` are the card's memory and the band of the peak in the units
    of the drawing. ``price`` is of one GPU for an hour."""

    estimate: Estimate
    gpu: Gpu
    gpus: int
    bars: Sequence[Bar]
    categories: Mapping[str, str]
    limit: float
    low: float
    high: float
    price: float | None = None

    @property
    def verdict(self) -> str:
        return VERDICTS[self.estimate.fits]

    @property
    def status(self) -> str:
        return STATUSES[self.estimate.fits]

    @property
    def band_width(self) -> float:
        return self.high - self.low

    @property
    def mfu_percent(self) -> float | None:
        time = self.estimate.time
        return 100 * time.mfu if time and time.mfu is not None else None

    @property
    def seconds_band(self) -> tuple[float, float] | None:
        time = self.estimate.time
        return (time.band[0] * time.seconds, time.band[1] * time.seconds) if time else None

    @property
    def step_cost(self) -> float | None:
        if self.price is None or self.estimate.time is None:
            return None
        return self.price * self.gpus * self.estimate.time.seconds / 3600


def ledger_of(estimate: Estimate, gpu: Gpu, price: float | None = None) -> Ledger:
    memory, seconds = estimate.memory, estimate.time.phases if estimate.time else {}
    scale = WIDTH / (ROOM * max(gpu.memory, memory.peak, memory.band[1], 1))
    there = {name for held in memory.phases.values() for name, size in held.items() if size}
    categories = {name: LABELS[name] for name in CATEGORIES if name in there}
    named = [phase for phase in PHASES if phase in memory.phases or phase in seconds]
    bars = [
        _bar(phase, memory.phases.get(phase), seconds.get(phase), scale, categories)
        for phase in named
    ]
    return Ledger(
        estimate=estimate,
        gpu=gpu,
        gpus=estimate.cards,
        bars=bars,
        categories=categories,
        limit=gpu.memory * scale,
        low=memory.band[0] * scale,
        high=memory.band[1] * scale,
        price=price,
    )


def _bar(
    phase: str,
    held: Mapping[str, int] | None,
    seconds: float | None,
    scale: float,
    categories: Mapping[str, str],
) -> Bar:
    sizes = [(held or {}).get(name, 0) for name in categories]
    parts, at = [], 0.0
    for (name, label), size in zip(categories.items(), sizes, strict=True):
        if size:
            parts.append(Part(name, label, size, at, size * scale))
            at += size * scale
    return Bar(
        phase, PHASES[phase], sum(sizes) if held is not None else None, parts, sizes, seconds
    )
