"""The peak and the seconds of each phase, from what the hooks and the watch of the cards wrote."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from typing import Any

from trainyard_node.dryfire import watch
from trainyard_node.hooks import phases
from trainyard_node.hooks.phases import BEGAN, ENDED, FAILED
from trainyard_node.rehearse.legs import METRICS, lines_of, steps_in
from trainyard_node.rehearse.plan import Doubt, Plan, Untried
from trainyard_node.rehearse.running import MEMORY

Line = Mapping[str, Any]
# At its end the engine of the rollout takes its memory back, when the trainer's peak is long over.
TAKES_BACK = "weight_sync"
RAN_OUT = "ran_out"  # the state of a phase in which memory ran out, where only the log says so
MOST = 1e15  # no second since 1970, and no length, is more
SIZES = ("allocated", "reserved", "others", "total", "used")
SEEN_AGAIN = 2 * watch.EVERY  # seconds in which the watch looks at least once
NO_CARD = (
    "No GPU was there to measure: the run was on the CPU. Peaks, and a proposal of what would fit, "
    "need the GPUs of the job."
)
NO_WORKERS = (
    "The figures of its workers did not arrive: they ran on other machines, or this verl differs "
    "from the one that is known. Peaks, and a proposal of what would fit, need them."
)
NONE_MEASURED = (
    "No phase was measured: this verl differs from the one that is known, or its workers ran on "
    "other machines."
)


@dataclass
class Phase:
    """``spans`` are its (begin, end) by the clock; of a phase that never ended the end is None."""

    name: str
    driver: list[float] = field(default_factory=list)  # seconds of each time
    workers: list[float] = field(default_factory=list)
    spans: list[tuple[float, float | None]] = field(default_factory=list)
    sizes: list[Line] = field(default_factory=list)
    failed: bool = False
    ran_out: bool = False


def found(plan: Plan) -> dict[str, Any]:
    """What was measured so far, as it is told: empty before the trainer ran."""
    told = [line for line in lines_of(plan.root / phases.FILE) if is_whole(line, "phase", "pid")]
    cards = own_cards(told, lines_of(plan.root / watch.FILE))
    totals = [line["total"] for line in (*told, *cards) if "total" in line]
    rows = [_of(phase, cards) for phase in read(told)]
    if not rows:
        return {}
    return {"phases": rows, "limit": min(totals, default=None), "longest": longest(plan)}


def check_memory(plan: Plan) -> str:
    """The phase with the highest peak. Raises Untried where nothing could be measured."""
    known = found(plan)
    if not known:
        raise Untried(NONE_MEASURED)
    limit = known["limit"]
    sized = [row for row in known["phases"] if row["card"] is not None]
    if not sized or limit is None:
        by_worker = any(line.get("by_worker") for line in lines_of(plan.root / phases.FILE))
        raise Untried(NO_CARD if by_worker else NO_WORKERS)
    most = max(sized, key=lambda row: int(row["card"]))
    said = (
        f"The peak is {_gib(most['card'])} of {_gib(limit)} GiB of a card, in the phase "
        f"{most['phase']}"
    )
    if most["card"] > 0.95 * limit:
        said += ": a longer row, or fragments, may have it run out of memory"
        raise Doubt(f"{said}.{_missed(plan)}")
    return f"{said}.{_missed(plan)}"


def _missed(plan: Plan) -> str:
    """That the driver did not always say what is taken of a card; empty where it did."""
    for line in lines_of(plan.root / watch.FILE):
        failed, looks = line.get("failed"), line.get("looks")
        if type(failed) is int and type(looks) is int:
            return (
                f" {failed:,} of {looks:,} looks at the cards failed, so that the peak of a phase "
                "without a figure of its workers may have been higher."
            )
    return ""


def own_cards(told: Iterable[Line], watched: Iterable[Line]) -> list[Line]:
    """What was seen of the cards that the run's workers name as theirs. Before one of them did, the
    cards that the run was given: others of the machine may be other runs'."""
    whole = [line for line in watched if is_whole(line, "used", "uuid")]
    theirs = {line["uuid"] for line in told if isinstance(line.get("uuid"), str)}
    return [line for line in whole if (line["uuid"] in theirs if theirs else line.get("named"))]


def is_whole(line: Line, *needed: str) -> bool:
    """Whether a line has what is needed, and numbers where they belong: a run writes anything."""
    return (
        is_number(line.get("at"))
        and is_number(line.get("seconds", 0))
        and all(type(line[name]) is int and line[name] >= 0 for name in SIZES if name in line)
        and all(isinstance(line.get(name), int | str) for name in needed)
    )


def is_number(value: object) -> bool:
    return type(value) in (int, float) and 0 <= value < MOST  # type: ignore[operator]


def read(told: Iterable[Line]) -> list[Phase]:
    """The phases in the order in which they first began."""
    all_phases: dict[str, Phase] = {}
    open_since: dict[tuple[Any, str], float] = {}
    for line in told:
        name, who = str(line.get("phase")), line.get("pid")
        phase = all_phases.setdefault(name, Phase(name))
        if line.get("state") == BEGAN:
            open_since[who, name] = line["at"]
        elif line.get("state") in (ENDED, FAILED):
            phase.spans.append((open_since.pop((who, name), line["at"]), line["at"]))
            seconds = phase.workers if line.get("by_worker") else phase.driver
            seconds.append(line.get("seconds", 0.0))
            phase.sizes.append(line)
            phase.failed |= line["state"] == FAILED
            phase.ran_out |= bool(MEMORY.search(str(line.get("error", ""))))
        elif line.get("state") == RAN_OUT:
            phase.failed = phase.ran_out = True
    for (_, name), began in open_since.items():
        all_phases[name].spans.append((began, None))
        all_phases[name].failed = True
    return [*all_phases.values()]


def _of(phase: Phase, cards: Sequence[Line]) -> dict[str, Any]:
    """A phase as it is told. Its seconds are those of its last time, once all was warm.

    The workers' own figure is of the phase alone. The watch looks from time to time, and what it
    sees may be of the phase before: it serves where the workers have no figure.
    """
    watched = [used for span in phase.spans for used in within(cards, span)]
    by_workers = [
        line["reserved"] + line["others"]
        for line in phase.sizes
        if "reserved" in line and "others" in line
    ]
    first, second = by_workers, watched
    if phase.name == TAKES_BACK:
        first, second = watched, by_workers
    taken = first or second
    seconds = phase.driver or phase.workers
    return {
        "phase": phase.name,
        "seconds": round(seconds[-1], 3) if seconds else None,
        "allocated": _most(phase, "allocated"),
        "reserved": _most(phase, "reserved"),
        "card": max(taken, default=None),
        "failed": phase.failed,
        "ran_out": phase.ran_out,
    }


def _most(phase: Phase, name: str) -> int | None:
    return max((line[name] for line in phase.sizes if name in line), default=None)


def within(cards: Sequence[Line], span: tuple[float, float | None]) -> list[int]:
    """What was taken of each card within a span of time: after each change, and at its begin where
    a look within the span found it unchanged."""
    began, ended = span[0], math.inf if span[1] is None else span[1]
    found = []
    for uuid in dict.fromkeys(line["uuid"] for line in cards):
        lines = [line for line in cards if line["uuid"] == uuid]
        changes = [*(line["at"] for line in lines[1:]), math.inf]
        for line, changed in zip(lines, changes, strict=True):
            is_inside = began < line["at"] <= ended
            held = line["at"] <= began and min(changed, ended) - began > SEEN_AGAIN
            if is_inside or held:
                found.append(line["used"])
    return found


def broke_in(root: Path) -> tuple[str, str]:
    """The phase in which the run broke off and the error there; empty for what is not known."""
    told = [line for line in lines_of(root / phases.FILE) if is_whole(line, "phase", "pid")]
    failed = [line for line in told if line.get("state") == FAILED and line.get("by_worker")]
    # Where memory ran out on one GPU the others break off with errors of their own.
    failed.sort(key=lambda line: not MEMORY.search(str(line.get("error", ""))))
    for line in failed:
        if line.get("error"):
            return str(line["phase"]), str(line["error"])
    begun: dict[tuple[Any, str], Line] = {}
    for line in told:
        key = (line.get("pid"), str(line.get("phase")))
        if line.get("state") == ENDED:
            begun.pop(key, None)
        elif line.get("state") in (BEGAN, FAILED):
            begun[key] = line
    last = max(begun.values(), key=lambda line: float(line["at"]), default=None)
    return (str(last["phase"]), str(last.get("error", ""))) if last else ("", "")


def longest(plan: Plan) -> int | None:
    """Tokens of the longest prompt of the last step, in SFT and DPO of its rows in the mean: they
    are of one length but for a little."""
    steps = steps_in(plan.root / METRICS)
    counts: dict[str, Any] = defaultdict(lambda: None, steps.get(plan.steps) or {})
    if is_number(prompt := counts["prompt_length/max"]):
        return int(prompt)
    tokens = counts["train/global_tokens"]
    rows = plan.batch * (2 if plan.target == "dpo" else 1)
    return ceil(tokens / rows) if is_number(tokens) and rows else None


def _gib(size: int) -> str:
    return f"{size / 2**30:.1f}"
