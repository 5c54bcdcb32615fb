"""What an open page has not seen yet. The page's cursor is the truth; a ping only says: look."""

from dataclasses import dataclass, replace
from typing import Any

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.conf import settings

from jobs.models import Job
from jobs.trackers import accounts
from monitoring.mirror import HERE, log_file
from monitoring.models import SystemSample
from monitoring.readers.masking import lead_for, masked

LOG_TAIL = 64 * 1024
LOG_STEP = 256 * 1024
MOST = 2**53  # that a page may say; larger numbers are not exact in its language


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
    """A page's cursors. Points, samples, log and state each go their own way.

    ``revision`` is of the job's state, ``points`` of its metrics, ``sample`` and ``event`` are the
    ids of the last ones, ``log`` is a byte offset, and ``attempt`` the one that the page shows.
    """

    revision: int = 0
    points: int = 0
    sample: int = 0
    event: int = 0
    log: int = 0
    attempt: int = 1

    @classmethod
    def said(cls, said: Any) -> "Seen":
        """From what a page says, whose numbers may be any. Raises ``KeyError``, ``ValueError`` …"""
        given = {name: int(said[name]) for name in cls.__annotations__ if name in said}
        if not {"revision", "log"} <= given.keys():
            raise ValueError("no cursors")
        return cls(**{name: max(0, min(value, MOST)) for name, value in given.items()})


def samples_since(job_id: int, last: int) -> list[SystemSample]:
    """The samples that came after one, by its id."""
    return list(SystemSample.objects.filter(job=job_id, pk__gt=last).order_by("pk"))


def sample_shown(sample: SystemSample) -> dict[str, Any]:
    return {"at": sample.at.timestamp(), **sample.data}


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


def read_part(job: Job, start: int, attempt: int | None = None) -> LogPart | None:
    """Up to ``LOG_STEP`` bytes of whole characters from a byte on, or None when there are none."""
    data = read_log(job, start, LOG_STEP, attempt)
    whole = _whole_characters(data)
    if not whole:
        return None
    text = data[:whole].decode("utf-8", "replace")
    return LogPart(text, start, start + whole, log_size(job, attempt))


@dataclass(frozen=True)
class LogLine:
    """One line of a log, with what stands before and after it, and a byte beyond each of these."""

    before: str
    text: str
    after: str
    earlier: int | None = None
    later: int | None = None


def log_around(job: Job, at: int, attempt: int | None = None) -> LogLine | None:
    """The line in which a byte lies, and some lines around it, or None when there is none."""
    size = log_size(job, attempt)
    if at >= size:
        return None
    start = max(0, at - LOG_TAIL)
    data = read_log(job, start, 2 * LOG_TAIL, attempt)
    here = at - start
    begin = data.rfind(b"\n", 0, here) + 1
    end = data.find(b"\n", here) + 1 or len(data)
    first = data.find(b"\n", 0, begin) + 1 if start else 0
    parts = (data[first:begin], data[begin:end], data[end:])
    before, text, after = (part.decode("utf-8", "replace") for part in parts)
    last = start + len(data)
    earlier = max(0, start + first - 1) if start + first else None
    return LogLine(before, text, after, earlier, last if last < size else None)


def read_log(job: Job, start: int, limit: int, attempt: int | None = None) -> bytes:
    """Up to ``limit`` bytes of an attempt's log from a byte on, with its owner's secrets made
    unreadable."""
    secrets = [value.encode() for value in accounts.secret_values(job)]
    lead = min(start, lead_for(secrets))
    data = HERE.read(str(log_file(job, attempt)), start - lead, limit + lead)
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


def log_size(job: Job, attempt: int | None = None) -> int:
    fact = HERE.stat(str(log_file(job, attempt)))
    return fact.size if fact else 0


def group_of(job_id: int) -> str:
    return f"job-{job_id}"


def ping(job_id: int) -> None:
    """Tell open pages to look. Without Redis they look by themselves, several times a second."""
    layer = get_channel_layer()
    if settings.CHANNEL_REDIS_URL and layer:
        async_to_sync(layer.group_send)(group_of(job_id), {"type": "look"})
