"""The reason why a run failed: what its log shows to have gone wrong first."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from monitoring.readers.tracebacks import Raised, plain, raised_in

RAISED = re.compile(
    r"(?:[\w.]+\.)?(?:\w+(?:Error|Exception|Interrupt|Exit)|Error|Exception)(?:\([\w.]+\))?: .+"
    r"|(?:[A-Za-z_]\w*\.)*\w+(?:Error|Exception|Interrupt|Exit):?"
    r"|(?:[a-z_]\w*\.)+[A-Z]\w+: .+"
)
# What comes when another process has broken or somebody ends the run: never the cause.
CONSEQUENCE = re.compile(
    r"(?:[\w.]+\.)?(?:ChildFailedError|SignalException|ActorDiedError|ActorUnavailableError"
    r"|WorkerCrashedError|RayTaskError|DistBackendError|DistNetworkError|BrokenPipeError"
    r"|CancelledError|KeyboardInterrupt|SystemExit)\b"
)
# verl's remedy for answers that failed leaves out the prompts at which the user's code broke.
ADVICE = re.compile(r" Enable \S+sync_refill_failed_groups to replace failed groups\.")
OURS = re.compile(r"\btrainyard_node\.[\w.]*\b(?=[A-Z]\w*:)")  # a name is enough
STEP = re.compile(r"step:\d+ - ")  # verl's console: until there all went well enough
LONGEST = 300


@dataclass(frozen=True)
class Cause:
    """``text`` says what broke a run, and is empty where nothing is known. ``start`` is the byte of
    the line where the user's own code broke."""

    text: str = ""
    start: int | None = None


def find_cause(log: bytes, offset: int = 0) -> Cause:
    """What broke the run, by the end of its log, which begins at the byte ``offset``.

    The first exception that came through the user's own code leads, in whatever process it was.
    Then comes the trainer's first one. What is printed later is their consequence. What was printed
    before the last step that was done broke nothing.
    """
    lines = _last_lines(log, offset)
    raised = [each for each in raised_in(lines) if not CONSEQUENCE.match(each.name)]
    own = next((each for each in raised if each.own_frame), None)
    other = _trainers(raised, own)
    said = OURS.sub("", ADVICE.sub("", other.text)) if other else ""
    if own is None:
        return Cause(_short(said or last_error("\n".join(line for _, line in lines))))
    text = _short(f"{own.text} ({own.own_frame}).")
    return Cause(f"{text} Then: {_short(said)}" if said else text, own.start)


def last_error(log: str) -> str:
    """The last line that names an exception, for a log without tracebacks; or an empty string."""
    for line in reversed(log.splitlines()):
        text = plain(line)[1].strip()
        if RAISED.fullmatch(text) and not CONSEQUENCE.match(text):
            return _short(text)
    return ""


def _last_lines(log: bytes, offset: int) -> list[tuple[int, str]]:
    """The lines after the last step that was done, each with the byte where it begins."""
    lines = list[tuple[int, str]]()
    for raw in log.split(b"\n"):
        line = raw.decode("utf-8", "replace")
        if STEP.match(plain(line)[1]):
            lines = []
        lines.append((offset, line))
        offset += len(raw) + 1
    return lines


def _trainers(raised: Sequence[Raised], own: Raised | None) -> Raised | None:
    """The first that no code of the user's had a part in. Of several that came out of one another
    the last says most."""
    others = [each for each in raised if each.own_frame is None and (not own or _after(each, own))]
    last = others[0] if others else None
    for other in others[1:]:
        if last and other.stream == last.stream and other.follows == last.follows + 1:
            last = other
    return last


def _after(each: Raised, own: Raised) -> bool:
    return each.start > own.start and each.text != own.text


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
