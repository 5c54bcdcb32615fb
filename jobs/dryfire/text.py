"""The phases of a dry-fire and its proposal, for a terminal."""

from collections.abc import Iterator

from jobs.dryfire.proposing import NO_FIGURES, Found
from jobs.kinds.base import Report
from platform_site.counts import size_text


def as_lines(found: Found | None, report: Report) -> Iterator[str]:
    if found is None:
        yield NO_FIGURES
        return
    if report.limit is None:
        yield "Phases of a step:"
    else:
        yield f"Peaks of a card of {size_text(report.limit)}:"
    for one in found.phases:
        phase = one.phase
        took = "" if phase.seconds is None else f"{phase.seconds:,.1f} s"
        failed = "  broke off" if phase.failed else ""
        failed = "  memory ran out" if phase.ran_out else failed
        expected = "" if one.expected is None else f", expected {size_text(one.expected)}"
        peak = "not measured" if phase.card is None else size_text(phase.card)
        yield f"  {one.label:<22} {took:>10}  {peak}{expected}{failed}"
    for row in found.proposal.rows if found.proposal else ():
        arrow = f"{row.now} -> {row.planned}" if row.is_changed else f"{row.now}, as it is"
        yield f"  {row.label:<30} {arrow:<24} {row.why}"
    if found.why:
        yield found.why
