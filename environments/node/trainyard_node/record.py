"""The `pid` file: the processes of an attempt, identified precisely enough to signal them later."""

import json
import os
import socket
from dataclasses import asdict, dataclass
from typing import Any

from trainyard_node.attempt import Attempt, Lines, read_small, record_event, write_atomic
from trainyard_node.events import EventName
from trainyard_node.identity import Identity, boot_id, identify

# All processes of the run inherit it; it tells survivors from other processes.
MARK = "TRAINYARD_ATTEMPT"
# Inherited too: the attempt directory, where a trainer looks for requests.
RUN_DIR = "TRAINYARD_RUN_DIR"


@dataclass(frozen=True)
class Record:
    wrapper: Identity
    process: Identity
    pgid: int
    host: str
    boot_id: str
    mark: str

    def is_of_this_boot(self) -> bool:
        """False on another machine or after a restart: then the pids in here are meaningless."""
        return self.boot_id == boot_id()


def tell(kind: EventName, message: str, **details: Any) -> None:
    """Append an event of this run; nothing where no wrapper started it."""
    if directory := os.environ.get(RUN_DIR):
        record_event(Lines(Attempt.at(directory).events), kind, message, **details)


def record_of(pid: int, mark: str) -> Record:
    """The record of this wrapper and of its child `pid`, which leads its own group and session."""
    wrapper = identify(os.getpid()) or Identity(os.getpid(), 0)
    # A child that ended at once is a zombie without an identity; 0 matches no process.
    process = identify(pid) or Identity(pid, 0)
    return Record(wrapper, process, pid, socket.gethostname(), boot_id(), mark)


def write_record(attempt: Attempt, record: Record) -> None:
    """Write the pid file in one step. Raises OSError."""
    content = {
        "wrapper": asdict(record.wrapper),
        "process": {**asdict(record.process), "pgid": record.pgid},
        "host": record.host,
        "boot_id": record.boot_id,
        "mark": record.mark,
    }
    write_atomic(attempt.pid, json.dumps(content) + "\n")


def read_record(attempt: Attempt) -> Record | None:
    """The record, or None if there is none or it cannot be read."""
    try:
        content = json.loads(read_small(attempt.pid))
        wrapper, process = content["wrapper"], content["process"]
        return Record(
            wrapper=Identity(int(wrapper["pid"]), wrapper["started"]),
            process=Identity(int(process["pid"]), process["started"]),
            pgid=int(process["pgid"]),
            host=str(content["host"]),
            boot_id=str(content["boot_id"]),
            mark=str(content.get("mark", "")),
        )
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None
