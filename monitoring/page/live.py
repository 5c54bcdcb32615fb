"""What an open page has not seen yet. The page's cursor is the truth; a ping only says: look."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.conf import settings

from jobs.models import Job
from jobs.trackers import accounts
from monitoring.mirror import HERE, log_file
from monitoring.models import Series
from monitoring.readers.masking import lead_for, masked
from monitoring.readers.verl_metrics import write_value

LOG_TAIL = 64 * 1024
LOG_STEP = 256 * 1024
KEY_METRICS = (
    "critic/score/mean",
    "critic/rewards/mean",
    "train/loss",
    "val/loss",
    "train/rewards/accuracy",
    "train/rewards/margin",
    "val/rewards/accuracy",
    "critic/vf_loss",
    "critic/vf_explained_var",
    "actor/entropy",
    "actor/ppo_kl",
    "actor/grad_norm",
    "train/grad_norm",
    "response_length/mean",
    "actor/pg_clipfrac",
    "perf/throughput",
    "timing_s/step",
)
Points = dict[str, list[list[float | str]]]


@dataclass(frozen=True)
class LogPart:
    """Bytes ``start`` to ``end`` of a log of ``size`` bytes; ``reset`` when a part was skipped."""

    text: str
    start: int
    end: int
    size: int
    reset: bool = False


@dataclass
class Seen:
    """A page's cursor: the job's revision, the log's byte offset, and the attempt it shows."""

    revision: int = 0
    log: int = 0
    attempt: int = 1


def points_since(job: Job, revision: int) -> Points:
    """``{series: [[step, value], …]}`` of the points written after a revision, by step."""
    rows = Point.objects.filter(job=job, revision__gt=revision).order_by("step")
    return _by_name(rows.values_list("series__name", "step", "value"))


def points_of(job: Job, names: list[str]) -> Points:
    """All points of the named series, by step."""
    rows = Point.objects.filter(series__job=job, series__name__in=names).order_by("step")
    return _by_name(rows.values_list("series__name", "step", "value"))


def _by_name(rows: Any) -> Points:
    found: Points = {}
    for name, step, value in rows:
        found.setdefault(name, []).append([step, write_value(value)])
    return found


def system_since(job: Job, revision: int) -> list[dict[str, Any]]:
    samples = job.system_samples.filter(revision__gt=revision)
    return [{"at": sample.at.timestamp(), **sample.data} for sample in samples]


def system_history(job: Job) -> dict[str, Any]:
    """Columns over the whole run: times in epoch seconds, one list a figure, GPUs by index."""
    samples = list(job.system_samples.all())
    gpus = sorted({gpu["index"] for sample in samples for gpu in sample.data.get("gpus", [])})
    return {
        "at": [sample.at.timestamp() for sample in samples],
        **{name: [s.data.get(name) for s in samples] for name in SYSTEM_FIGURES},
        "gpu_util": {i: [_gpu(s.data, i, "util_percent") for s in samples] for i in gpus},
        "gpu_memory": {i: [_gpu(s.data, i, "memory_used") for s in samples] for i in gpus},
    }


SYSTEM_FIGURES = ("cpu_percent", "memory_used", "process_cpu_percent", "process_memory")


def _gpu(data: Mapping[str, Any], index: int, figure: str) -> Any:
    return next((gpu.get(figure) for gpu in data.get("gpus", []) if gpu["index"] == index), None)


def series_groups(job: Job) -> list[tuple[str, list[dict[str, Any]]]]:
    """All series by the prefix before ``/``, the few that matter most first as a group."""
    rows = {series.name: _shown(series) for series in job.series.all()}
    key = [rows[name] for name in KEY_METRICS if name in rows]
    groups: dict[str, list[dict[str, Any]]] = {"Key metrics": key} if key else {}
    for name, row in rows.items():
        groups.setdefault(name.partition("/")[0], []).append(row)
    return list(groups.items())


def _shown(series: Series) -> dict[str, Any]:
    _, _, rest = series.name.partition("/")
    return {
        "name": series.name,
        "label": rest or series.name,
        "last_value": series.last_value,
        "last_step": series.last_step,
    }


def log_tail(job: Job) -> LogPart:
    """The end of the log, for a page that is opened, from the beginning of a line."""
    part = log_from(job, max(0, log_size(job) - LOG_TAIL))
    if part.start == 0:
        return part
    cut, _, rest = part.text.partition("\n")
    return replace(part, text=rest, start=part.start + len(f"{cut}\n".encode())) if rest else part


def log_from(job: Job, start: int) -> LogPart:
    """The log from a byte on. Far behind, the page is given the end and told so by ``reset``."""
    size = log_size(job)
    if size - start > LOG_STEP or size < start:
        return replace(log_from(job, max(0, size - LOG_TAIL)), reset=True)
    return read_part(job, start) or LogPart("", start, start, size)


def read_part(job: Job, start: int) -> LogPart | None:
    """Up to ``LOG_STEP`` bytes of whole characters from a byte on, or None when there are none."""
    data = read_log(job, start, LOG_STEP)
    whole = _whole_characters(data)
    if not whole:
        return None
    text = data[:whole].decode("utf-8", "replace")
    return LogPart(text, start, start + whole, log_size(job))


def read_log(job: Job, start: int, limit: int) -> bytes:
    """Up to ``limit`` bytes of the log from a byte on, with its owner's secrets made unreadable."""
    secrets = [value.encode() for value in accounts.secret_values(job)]
    lead = min(start, lead_for(secrets))
    data = HERE.read(str(log_file(job)), start - lead, limit + lead)
    return masked(data, secrets)[lead:]


def _whole_characters(data: bytes) -> int:
    """How many bytes end on a character's end: a character may be half-written."""
    for back in range(1, min(4, len(data)) + 1):
        byte = data[-back]
        if byte < 0x80:
            return len(data)
        if byte >= 0xC0:
            width = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return len(data) - back if width > back else len(data)
    return len(data)


def log_size(job: Job) -> int:
    fact = HERE.stat(str(log_file(job)))
    return fact.size if fact else 0


def group_of(job_id: int) -> str:
    return f"job-{job_id}"


def ping(job_id: int) -> None:
    """Tell open pages to look. Without Redis they look by themselves, several times a second."""
    layer = get_channel_layer()
    if settings.CHANNEL_REDIS_URL and layer:
        async_to_sync(layer.group_send)(group_of(job_id), {"type": "look"})
