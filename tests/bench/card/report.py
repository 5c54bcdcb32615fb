"""The table of a run: measured against estimated."""

from typing import Any

from tests.bench.card.cells import Cell
from tests.bench.card.estimates import Figures, card_of_run, estimated

GIB = 1 << 30
UPDATE = ("forward", "backward", "optimizer")
TIMES = (*UPDATE, "step", "log_prob")


def with_errors(found: Figures) -> Figures:
    """The same figures with the errors of each cell: estimated / measured - 1, positive where the
    estimate is too high. None where one of the two is missing; always so on the CPU, which says
    nothing of a card."""
    for one in found["cells"]:
        one["errors"] = errors(one) if found["device"] == "cuda" else None
    return found


def errors(one: Figures) -> dict[str, float | None] | None:
    if one["status"] != "measured":
        return None
    told, memory = one["estimated"], one["measured"]["memory"]
    peaks = {
        f"{phase}_bytes": _error(told["memory"][phase]["allocated"], peak(memory, phase))
        for phase in ("update", "log_prob")
    }
    seconds, took = told["seconds"] or {}, one["measured"]["seconds"]
    return {**peaks, **{name: _error(seconds.get(name), took[name]) for name in TIMES}}


def peak(memory: dict[str, Any] | None, phase: str, kind: str = "allocated") -> int | None:
    """The highest of an update's three phases, or that of the pass without gradient."""
    if memory is None:
        return None
    names = UPDATE if phase == "update" else (phase,)
    return max(int(memory[name][kind]) for name in names)


def _error(told: float | None, measured: float | None) -> float | None:
    return None if told is None or not measured else told / measured - 1


def again(found: Figures) -> Figures:
    """A kept run with the estimates that the code makes today."""
    gpu, has_speed = card_of_run(found)
    for one in found["cells"]:
        one["estimated"] = estimated(Cell(**one["cell"]), gpu, has_speed)
    return with_errors(found)


HEADS = (
    "update GiB", "estimate", "error", "reserved", "log-prob GiB", "estimate", "error",
    "step ms", "estimate", "error", "forward", "backward", "optimizer", "log-prob",
)  # fmt: skip


def table(found: Figures) -> str:
    """One line a cell. The last columns are errors of seconds; a dash stands for no figure."""
    rows = [("cell", *HEADS), *(_row(one) for one in found["cells"])]
    widths = [max(len(row[at]) for row in rows if at < len(row)) for at in range(len(rows[0]))]
    lines = [_about(found)]
    for row in rows:
        first, *others = (
            text.rjust(width) if at else text.ljust(width)
            for at, (text, width) in enumerate(zip(row, widths, strict=False))
        )
        lines.append("  ".join([first, *others]).rstrip())
    lines += [f"{name}: left out, its time had run out" for name in found["left_out"]]
    return "\n".join(lines)


def _about(found: Figures) -> str:
    listed = "" if found["slug"] else " (not in the catalogue: no times are estimated)"
    parts = [f"{found['card']}{listed}" if found["device"] == "cuda" else "CPU, no figures"]
    parts += [f"{name} {found[name]}" for name in ("driver", "torch") if found[name]]
    return ", ".join([*parts, *(f"{what}: {way}" for what, way in found["ways"].items())])


def _row(one: Figures) -> tuple[str, ...]:
    if one["status"] != "measured":
        verdict = {True: "fits", False: "does not fit", None: "may fit"}[one["estimated"]["fits"]]
        return (one["name"], one["status"], f"estimate: {verdict}", "", "", one.get("message", ""))
    told, measured = one["estimated"], one["measured"]
    wrong, memory = one["errors"] or {}, measured["memory"]
    cells = [one["name"]]
    for phase in ("update", "log_prob"):
        cells += [_gib(peak(memory, phase)), _gib(told["memory"][phase]["allocated"])]
        cells.append(_percent(wrong.get(f"{phase}_bytes")))
        cells += [_gib(peak(memory, phase, "reserved"))] if phase == "update" else []
    cells += [_ms(measured["seconds"]["step"]), _ms((told["seconds"] or {}).get("step"))]
    return (*cells, *(_percent(wrong.get(name)) for name in ("step", *UPDATE, "log_prob")))


def _gib(size: int | None) -> str:
    return "-" if size is None else f"{size / GIB:.2f}"


def _ms(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1000:.1f}"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share * 100:+.1f} %"
