"""`python -m trainyard_node.rewards.trial`: call a reward function on rows, even if it fails.

Rows are JSON lines with data_source, solution_str, ground_truth and extra_info. The output is one
JSON document. The function runs in another process. If it hangs, crashes, exits, prints without end
or returns nonsense, the row's result says so, and the other rows still run. The exit code is 0 once
the document is written, 2 for a wrong command line.
"""

import argparse
import contextlib
import json
import os
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from trainyard_node import processes

OUTPUT_KEPT = 4000
CHUNK = 65536


@dataclass(frozen=True)
class Limits:
    """Seconds for one call, for loading the file and for the whole trial; MiB of data."""

    call: float = 10.0
    load: float = 60.0
    total: float = 300.0
    memory_mb: int = 4096


@dataclass
class Output:
    """Output of the user's code: its size, and its beginning."""

    count: int = 0
    kept: bytes = b""

    def add(self, data: bytes) -> None:
        self.count += len(data)
        self.kept += data[: OUTPUT_KEPT - len(self.kept)]

    def take(self) -> dict[str, Any]:
        """Return the output since the last call."""
        text = self.kept.decode("utf-8", "replace")
        found = {"output": text, "output_bytes": self.count} if self.count else {}
        self.count, self.kept = 0, b""
        return found


@dataclass
class Trial:
    """A trial of the function `name` in `path`; None stands for verl's own scorers."""

    path: str | None
    name: str
    kwargs: dict[str, Any]
    rows: Path
    count: int
    limits: Limits = field(default_factory=Limits)

    def run(self) -> dict[str, Any]:
        """Run the trial; return the document.

        `load` has a problem and a traceback, which are missing when loading succeeded; `rows` has
        one entry for each row in its order: score, parts, seconds, or a `problem` with kind and
        message.
        """
        started = time.monotonic()
        self._deadline = started + self.limits.total
        self._load: dict[str, Any] = {}
        self._answers: dict[int, dict[str, Any]] = {}
        self._process(0)
        while not self._is_over:
            self._process(len(self._answers))
        return {
            "load": self._load,
            "rows": [self._answer(index) for index in range(self.count)],
            "seconds": round(time.monotonic() - started, 3),
        }

    @property
    def _unloadable(self) -> bool:
        return bool(self._load.get("problem"))

    @property
    def _is_over(self) -> bool:
        through = self._unloadable or len(self._answers) >= self.count
        return through or time.monotonic() >= self._deadline

    def _process(self, start: int) -> None:
        """Call rows from `start` on in one process, until they are done or it must be ended."""
        folder = Path(tempfile.mkdtemp(prefix="reward-trial-"))
        try:
            with Child(self._job(start), folder) as child:
                self._follow(child, start)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _job(self, start: int) -> dict[str, Any]:
        return {
            **{"path": self.path, "name": self.name, "kwargs": self.kwargs},
            **{"rows": str(self.rows), "start": start, "memory_mb": self.limits.memory_mb},
        }

    def _follow(self, child: "Child", start: int) -> None:
        begun = time.monotonic()
        index: int | None = None  # the row that is being called; None while the file is loaded
        while True:
            limit = self.limits.load if index is None else self.limits.call
            event = child.next_event(min(begun + limit, self._deadline))
            if event is None:
                return self._ended(child, index, limit)
            if event["event"] == "finished":
                return None
            if event["event"] == "unloadable":
                return self._cannot_load(event, child)
            begun = time.monotonic()
            if event["event"] == "loaded":
                self._load.setdefault("seconds", round(time.monotonic() - child.started, 3))
                self._load["signature_problem"] = event["signature_problem"]
                printed = child.output.take()
                self._load |= printed if start == 0 else {}
            if event["event"] == "called":
                index = event["index"]
            if event["event"] == "scored":
                self._answers[index or 0] = row_of(event) | child.output.take()
                index = event["index"] + 1
                child.go_on()

    def _ended(self, child: "Child", index: int | None, limit: float) -> None:
        """Record why the process says nothing more: it hangs, or it died."""
        seconds = round(time.monotonic() - child.spoke, 3)
        late = time.monotonic() >= self._deadline
        problem = ended_in_words(child, limit)
        if late and problem["kind"] == "timeout":
            message = f"The trial's limit of {self.limits.total:g} s was reached during this call."
            problem = {"kind": "timeout", "message": message}
        if index is not None:
            found = {"problem": problem, "seconds": seconds, "score": None}
            self._answers[index] = found | child.output.take()
        elif not (late and self._answers):  # it was loaded before; time ran out
            self._load |= {"problem": problem["message"], "kind": problem["kind"]}
            self._load |= child.output.take()

    def _cannot_load(self, event: dict[str, Any], child: "Child") -> None:
        self._load |= {"problem": event["message"], "kind": event["kind"]}
        self._load |= {"traceback": event["traceback"], **child.output.take()}

    def _answer(self, index: int) -> dict[str, Any]:
        answer = self._answers.get(index)
        if answer is None:
            message = f"Not called: the trial's limit of {self.limits.total:g} s was reached."
            if self._unloadable:
                message = "Not called: the function could not be loaded."
            answer = {"score": None, "problem": {"kind": "not_run", "message": message}}
        return {"index": index, **answer}


def row_of(event: dict[str, Any]) -> dict[str, Any]:
    """What the process told of a row: its score and parts, or its problem."""
    seconds = round(event["seconds"], 6)
    if "kind" not in event:
        return {"score": event["score"], "parts": event["parts"], "seconds": seconds}
    problem = {key: event[key] for key in ("kind", "message", "traceback") if key in event}
    return {"score": None, "problem": problem, "seconds": seconds}


def ended_in_words(child: "Child", limit: float) -> dict[str, str]:
    """Why a process says nothing more: it died, or gave no answer within so many seconds."""
    code = child.exit_code()
    if code is not None:
        return {"kind": "crash", "message": f"It ended the process: {_how(code)}."}
    if child.closed:
        return {"kind": "crash", "message": "It closed the files of the process."}
    return {"kind": "timeout", "message": f"No answer within {limit:g} s."}


def _how(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    with contextlib.suppress(ValueError):
        return f"signal {-code} ({signal.Signals(-code).name})"
    return f"signal {-code}"


class Child:
    """The process with the user's code, which inherits the descriptors `more`. Closing it also ends
    its group, and where it `is_only_one` all other processes below this one: they are its own."""

    def __init__(
        self, job: dict[str, Any], folder: Path, *more: int, is_only_one: bool = True
    ) -> None:
        self._is_only_one = is_only_one
        (folder / "job.json").write_text(json.dumps(job))
        work = folder / "work"
        work.mkdir()
        self.output = Output()
        self.started = self.spoke = time.monotonic()
        self._channel, told = socket.socketpair()
        self._buffer = b""
        argv = [sys.executable, "-m", "trainyard_node.rewards.child"]
        try:
            self._process = subprocess.Popen(
                [*argv, str(folder / "job.json"), str(told.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd=work,
                pass_fds=(told.fileno(), *more),
                start_new_session=True,
            )
        finally:
            told.close()
        self._selector = selectors.DefaultSelector()
        self._events = self._channel.fileno()
        for descriptor in (self._events, self._stdout.fileno()):
            os.set_blocking(descriptor, False)
            self._selector.register(descriptor, selectors.EVENT_READ)

    def __enter__(self) -> "Child":
        return self

    def __exit__(self, *_: object) -> None:
        self._selector.close()
        self._channel.close()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._stdout.close()
        if self._is_only_one:
            processes.end(lambda: processes.descendants(os.getpid()), 0.0, 5.0)
            _reap()

    @property
    def _stdout(self) -> BinaryIO:
        assert self._process.stdout is not None
        return self._process.stdout  # type: ignore[return-value]

    def next_event(self, until: float) -> dict[str, Any] | None:
        """The next event; the output before it is read too. None if it is late or cannot come."""
        while b"\n" not in self._buffer:
            left = until - time.monotonic()
            if left <= 0 or not self._read(left):
                self._drain()
                return None
        line, _, self._buffer = self._buffer.partition(b"\n")
        self._drain()
        self.spoke = time.monotonic()
        event: dict[str, Any] = json.loads(line)
        return event

    def go_on(self) -> None:
        """Let the process call the next row: output from now on belongs to that row."""
        with contextlib.suppress(OSError):
            os.write(self._events, b".")

    def exit_code(self) -> int | None:
        """The exit code, or None while the process lives; it gets a moment to end."""
        try:
            # If the channel is closed and the process lives, the code has closed every descriptor.
            return self._process.wait(0.5 if self.closed else 0)
        except subprocess.TimeoutExpired:
            return None

    closed = False

    def _read(self, seconds: float) -> bool:
        """Read the available data; return False once the process has closed its channel."""
        for key, _ in self._selector.select(seconds):
            data = _read(key.fd)
            if key.fd != self._events:
                self.output.add(data)
                if not data:
                    self._selector.unregister(key.fd)
            elif data:
                self._buffer += data
            else:
                self.closed = True
                return False
        return True

    def _drain(self) -> None:
        # Read at most as much as a pipe holds: endless output must not block us.
        for _ in range(16):
            data = _read(self._stdout.fileno())
            if not data:
                return
            self.output.add(data)


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, CHUNK)
    except (BlockingIOError, ConnectionResetError):
        return b""


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            continue


def main(argv: Sequence[str] | None = None) -> int:
    """Run the trial named on the command line; see the module's description."""
    arguments = _parser().parse_args(argv)
    processes.become_subreaper()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with tempfile.TemporaryDirectory(prefix="reward-rows-") as folder:
        rows = Path(folder) / "rows.jsonl"
        count = _keep_rows(arguments.rows, rows)
        trial = Trial(
            arguments.path,
            arguments.name,
            arguments.kwargs,
            rows,
            count,
            Limits(
                arguments.call_seconds,
                arguments.load_seconds,
                arguments.total_seconds,
                arguments.memory_mb,
            ),
        )
        document = trial.run()
    print(json.dumps(document))
    return 0


def _keep_rows(source: str, kept: Path) -> int:
    """Copy the rows, whole lines only, into our own file; return their number."""
    count = 0
    with (
        contextlib.nullcontext(sys.stdin.buffer) if source == "-" else open(source, "rb") as file,
        kept.open("wb") as out,
    ):
        for line in file:
            if line.strip():
                if not isinstance(json.loads(line), dict):
                    raise SystemExit(f"row {count} is not a JSON object")
                out.write(line.rstrip(b"\r\n") + b"\n")
                count += 1
    return count


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m trainyard_node.rewards.trial")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--path", type=os.path.abspath, help="the file with the function")
    which.add_argument("--builtin", action="store_true", help="verl's scorers by data source")
    parser.add_argument("--name", default="compute_score", help="the function in that file")
    parser.add_argument("--kwargs", type=_object, default={}, help="reward_kwargs as JSON")
    parser.add_argument("--rows", default="-", help="a file with JSON lines; - is standard input")
    parser.add_argument("--call-seconds", type=float, default=Limits.call)
    parser.add_argument("--load-seconds", type=float, default=Limits.load)
    parser.add_argument("--total-seconds", type=float, default=Limits.total)
    parser.add_argument("--memory-mb", type=int, default=Limits.memory_mb)
    return parser


def _object(text: str) -> dict[str, Any]:
    found = json.loads(text)
    if not isinstance(found, dict):
        raise argparse.ArgumentTypeError("must be a JSON object")
    return found


if __name__ == "__main__":
    sys.exit(main())
