"""GPUs that did nothing: of how many samples of a run each was idle, and for how long."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

IDLE = 5.0  # percent of use, below which a GPU does nothing to speak of
MUCH = 0.3  # share of the samples that is pointed out: in RL each GPU waits for others a little
FEW = 12  # samples, of which no share is told


@dataclass(frozen=True)
class Idle:
    """One GPU: in ``share`` of ``samples`` it was idle, which are so many ``seconds``."""

    index: int
    share: float
    samples: int
    seconds: float


def idle_gpus(
    samples: Iterable[Mapping[str, Any]], seconds: float, used: Collection[int] | None
) -> list[Idle]:
    """The GPUs that were idle for much of ``seconds``, of which the samples are evenly spread.

    ``used`` are those that the run had; None where that is not known: then all of its machine's. A
    sample in which a GPU's use was not measured does not count.
    """
    counts: dict[int, list[int]] = {}
    for sample in samples:
        for gpu in sample.get("gpus") or []:
            use = gpu.get("util_percent")
            if use is not None and (used is None or gpu["index"] in used):
                each = counts.setdefault(gpu["index"], [0, 0])
                each[0] += use < IDLE
                each[1] += 1
    found = [
        Idle(index, idle / of, of, seconds * idle / of)
        for index, (idle, of) in sorted(counts.items())
        if of >= FEW
    ]
    return [each for each in found if each.share >= MUCH]
