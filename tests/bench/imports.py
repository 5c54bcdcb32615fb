"""How long a run of two million points takes from another tool's file to a job.

The bytes are those that TensorBoard and W&B write for such a run, made here without them: the tools
themselves would take minutes. That both read alike is what ``tests/monitoring/foreign`` shows.
"""

import struct
import time
from pathlib import Path
from typing import BinaryIO

from django.contrib.auth.models import User
from django.core.management import call_command

from monitoring.imports import services
from monitoring.imports.working import work_off
from tests.e2e.site import Site

METRICS, STEPS = 200, 10_000
NAMES = [f"group-{at % 8}/metric-{at}".encode() for at in range(METRICS)]
BLOCK, HEAD = 1 << 15, 7


def measure(site: Site) -> dict[str, float]:
    from django.conf import settings

    call_command("migrate", verbosity=0)  # where no other measure started the site before
    owner, _ = User.objects.get_or_create(username="admin", defaults={"is_superuser": True})
    figures = {}
    for tool, write in (("TensorBoard", tensorboard), ("W&B", wandb)):
        path = Path(settings.TRAINYARD_HOME) / NAMED[tool]
        write(path)
        figures[f"{tool}: file [MB]"] = path.stat().st_size / 1e6
        began, of_core = time.perf_counter(), time.process_time()
        work = services.prepared(owner, str(path))
        work_off(work)
        figures[f"{tool}: 2 million points [s]"] = time.perf_counter() - began
        figures[f"{tool}: of a core [s]"] = time.process_time() - of_core
        work.refresh_from_db()
        assert work.is_done, work.error
        job = work.jobs.get()
        assert sum(series.count for series in job.series.all()) == METRICS * STEPS
        path.unlink()
    return figures


NAMED = {"TensorBoard": "events.out.tfevents.1", "W&B": "run.wandb"}


def varint(value: int) -> bytes:
    found = b""
    while value > 127:
        found += bytes([value & 127 | 128])
        value >>= 7
    return found + bytes([value])


def sized(tag: bytes, data: bytes) -> bytes:
    return tag + varint(len(data)) + data


def tensorboard(path: Path) -> None:
    with path.open("wb") as file:
        for step in range(STEPS):
            time_and_step = b"\x09" + struct.pack("<d", 1.7e9 + step) + b"\x10" + varint(step)
            for at, name in enumerate(NAMES):
                value = sized(b"\x0a", name) + b"\x15" + struct.pack("<f", step / (at + 1))
                event = time_and_step + sized(b"\x2a", sized(b"\x0a", value))
                file.write(struct.pack("<QI", len(event), 0) + event + b"\0\0\0\0")


def wandb(path: Path) -> None:
    with path.open("wb") as file:
        file.write(b":W&B\xe1\xbe\x00")
        for step in range(STEPS):
            items = [(name, repr(step / (at + 1)).encode()) for at, name in enumerate(NAMES)]
            items += [(b"_step", b"%d" % step), (b"_timestamp", repr(1.7e9 + step).encode())]
            inside = b"".join(
                sized(b"\x0a", sized(b"\x12", name) + sized(b"\x82\x01", text))
                for name, text in items
            )
            record(file, sized(b"\x12", inside + sized(b"\x12", b"\x08" + varint(step))))


def record(file: BinaryIO, data: bytes) -> None:
    """In pieces that end with the blocks of 32 KiB."""
    first = True
    while data or first:
        left = BLOCK - file.tell() % BLOCK
        if left < HEAD:
            file.write(b"\0" * left)
            continue
        piece, data = data[: left - HEAD], data[left - HEAD :]
        kind = (2 if data else 1) if first else (3 if data else 4)
        file.write(struct.pack("<IHB", 0, len(piece), kind) + piece)
        first = False
