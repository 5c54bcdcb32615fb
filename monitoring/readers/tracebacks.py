"""The exceptions that a log shows with their tracebacks, process by process."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
# Which process wrote a line: Ray's "(TaskRunner pid=123) ", torchrun's "[rank0]: ", or both.
STREAM = re.compile(r"(?:\([\w.:() ]*\bpid=\d+[^)]*\) |\[[a-z]+\d+\]: ?)+")
REPEATED = re.compile(r" \[repeated \d+x across cluster\].*$")  # Ray adds it to a line
HEADER = "Traceback (most recent call last):"
RAYS = "ray::"  # what Ray writes in its place, where another exception was the cause
LINKS = (
    "The above exception was the direct cause of the following exception:",
    "During handling of the above exception, another exception occurred:",
)
FRAME = re.compile(r'\s*File "(.+)", line (\d+)(?:, in (.+))?')
NAMED = re.compile(r"([A-Za-z_][\w.]*)(\([\w.]+\))?(?:: ?(.*))?")
REMOTE = "RayTaskError"  # its text is the traceback of another process
LIBRARIES = re.compile(
    r"/(?:site-packages|dist-packages|lib/python3[^/]*|trainyard_node|transformers_modules"
    r"|torchinductor[^/]*|verl/(?:experimental|models|single_controller|trainer|utils|workers))/"
    r"|/bin/torchrun$"
)


@dataclass(frozen=True)
class Frame:
    file: str
    line: str
    function: str

    @property
    def is_own(self) -> bool:
        """Whether this is code of the user, not of an installed package or of Python."""
        return self.file.startswith("/") and not LIBRARIES.search(self.file)

    def __str__(self) -> str:
        within = f", in {self.function}" if self.function else ""
        return f"{PurePosixPath(self.file).name}, line {self.line}{within}"


@dataclass(frozen=True)
class Raised:
    """``start`` is where its line begins, ``follows`` the number of exceptions it came out of."""

    name: str
    message: str
    start: int
    frames: Sequence[Frame]
    stream: str
    follows: int = 0

    @property
    def text(self) -> str:
        return f"{self.name}: {self.message}" if self.message else self.name

    @property
    def own_frame(self) -> Frame | None:
        """The innermost place in the user's own code that it came through."""
        return next((frame for frame in reversed(self.frames) if frame.is_own), None)


@dataclass
class Process:
    """How far the lines of one process have been read."""

    frames: list[Frame] = field(default_factory=list)
    is_inside: bool = False
    is_linked: bool = False
    follows: int = 0


def plain(line: str) -> tuple[str, str]:
    """The process that wrote a line, and what it wrote, without colours."""
    text = REPEATED.sub("", ANSI.sub("", line)).rpartition("\r")[2]
    match = STREAM.match(text)
    return (match[0], text[match.end() :]) if match else ("", text)


def raised_in(lines: Sequence[tuple[int, str]]) -> Iterator[Raised]:
    """The exceptions in lines, each given with its place, in the order in which they end."""
    processes: dict[str, Process] = {}
    for start, line in lines:
        stream, text = plain(line)
        process = processes.setdefault(stream, Process())
        if found := _next(process, stream, text.rstrip(), start):
            yield found


def _next(process: Process, stream: str, text: str, start: int) -> Raised | None:
    if text.endswith(HEADER) or (process.is_linked and text.startswith(RAYS)):
        process.follows = process.follows + 1 if process.is_linked else 0
        process.is_inside, process.is_linked, process.frames = True, False, []
    elif text in LINKS:
        process.is_linked = True
    elif process.is_inside and (match := FRAME.match(text)):
        process.frames.append(Frame(match[1], match[2], match[3] or ""))
    elif process.is_inside and text and not text[0].isspace():
        return _ended(process, stream, text, start)
    return None


def _ended(process: Process, stream: str, text: str, start: int) -> Raised | None:
    match = NAMED.fullmatch(text)
    if match and match[1].endswith(REMOTE):
        return None  # what was raised in that process follows
    process.is_inside = False
    if match is None:
        return None
    name = match[1] + (match[2] or "")
    return Raised(name, match[3] or "", start, process.frames, stream, process.follows)
