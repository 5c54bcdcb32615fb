"""The hardware over a whole run: as columns for charts, summed up, and what was idle."""

from typing import Any

import numpy as np

from jobs.fit.lookups import Lookups
from jobs.models import Job
from monitoring.hardware.idle import idle_gpus
from monitoring.hardware.summary import summary
from monitoring.models import SystemSample
from monitoring.store import points

DRAWN = 2000  # samples of a chart: it has no more pixels
SUMMED = 500  # of what is summed up
FAR = 5  # times the usual gap between two samples: nothing was measured in between
FIGURES = (
    "cpu_percent", "memory_used", "process_cpu_percent", "process_memory", "disk_used",
    "network_sent", "network_received",
)  # fmt: skip
GPU_FIGURES = {
    "gpu_util": "util_percent",
    "gpu_memory": "memory_used",
    "gpu_power": "power_w",
    "gpu_heat": "temperature_c",
}
VISIBLE = "CUDA_VISIBLE_DEVICES"
HOUR = 3600


def history(job: Job) -> dict[str, Any]:
    """Columns over the whole run: times in epoch seconds, the step that was being done then, one
    list a figure, and for each figure of GPUs one list by the index of each."""
    samples = spread_over(job, DRAWN)
    at = [sample.at.timestamp() for sample in samples]
    gpus = [{gpu["index"]: gpu for gpu in sample.data.get("gpus") or []} for sample in samples]
    indexes = sorted({index for each in gpus for index in each})
    return {
        "at": at,
        "step": steps_at(job, at),
        **{name: [sample.data.get(name) for sample in samples] for name in FIGURES},
        **{
            name: {i: [each.get(i, {}).get(figure) for each in gpus] for i in indexes}
            for name, figure in GPU_FIGURES.items()
        },
    }


def steps_at(job: Job, at: list[float]) -> list[float]:
    """How many steps were done at each moment, with fractions between two of them."""
    written = points.times(job)
    if not len(written) or not at:
        return [0.0] * len(at)
    order = np.argsort(written.values, kind="stable")
    found = np.interp(at, written.values[order], written.steps[order].astype(float), left=0.0)
    return [round(step, 3) for step in found.tolist()]


def over_the_run(job: Job) -> dict[str, Any]:
    """What the panel says of the whole run: mean and peak of each figure, and idle GPUs."""
    samples = spread_over(job, SUMMED)
    data = [sample.data for sample in samples]
    idle = idle_gpus(data, _seconds(samples), devices_of(job))
    price = Lookups().known_price(job.machine) if idle else None
    return {
        "hardware": summary(data),
        "hardware_samples": len(samples),
        "idle": [{"gpu": each, "cost": _cost(each.seconds, price)} for each in idle],
    }


def _seconds(samples: list[SystemSample]) -> float:
    """The time that the samples speak of: a gap far above the usual one, such as that between two
    attempts, counts as long as the usual one."""
    gaps = np.diff([sample.at.timestamp() for sample in samples])
    usual = float(np.median(gaps)) if len(gaps) else 0.0
    return float(np.where(gaps > FAR * usual, usual, gaps).sum())


def devices_of(job: Job) -> set[int] | None:
    """The GPUs that the run was given, by their numbers; None where its command does not say."""
    env = (job.command or {}).get("env") or {}
    said = str(env.get(VISIBLE, ""))
    numbers = {int(part) for part in said.split(",") if part.isascii() and part.isdigit()}
    return numbers or None


def spread_over(job: Job, most: int) -> list[SystemSample]:
    """Evenly spread samples of the run, at most about so many, in the order of time."""
    keys = list(job.system_samples.order_by("at", "pk").values_list("pk", flat=True))
    chosen = keys[:: -(-len(keys) // most)] if keys else []
    found = SystemSample.objects.in_bulk(chosen)
    return [found[key] for key in chosen if key in found]


def _cost(seconds: float, price: float | None) -> float | None:
    return None if price is None else price * seconds / HOUR
