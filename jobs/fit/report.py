"""An estimate for programs and for a terminal."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from django.conf import settings

from compute.sizing.answer import CATEGORIES, Estimate
from compute.sizing.parameters import parameters_of
from compute.sizing.question import Question
from platform_site.counts import money_text, size_text
from platform_site.templatetags.ui import duration

VERDICTS = {True: "It fits", False: "It does not fit", None: "It may fit, or not"}


def as_json(question: Question, found: Estimate) -> dict[str, Any]:
    """Bytes are of one GPU, but for ``host_bytes`` and ``object_store_bytes`` (of one machine) and
    what lies on disk; ``fits`` is null where the band of the peak holds the card's memory."""
    memory, time = found.memory, found.time
    return {
        "peak_bytes": memory.peak,
        "fits": found.fits,
        "band": list(memory.band),
        "phases": _phases(found),
        "host_bytes": memory.host,
        "object_store_bytes": memory.object_store,
        "checkpoint_bytes": memory.checkpoint,
        "disk_bytes": memory.disk,
        "seconds_per_step": time.seconds if time else None,
        "seconds_band": [factor * time.seconds for factor in time.band] if time else None,
        "tokens_per_second": time.tokens_per_second if time else None,
        "mfu": time.mfu if time else None,
        "mfu_counts": time.mfu_counts if time else None,
        "basis": time.basis if time else None,
        "total_seconds": found.total_seconds,
        "cost": found.cost,
        "currency": settings.TRAINYARD_CURRENCY,
        "algorithm": question.algorithm,
        "gpu": question.gpu.slug,
        "gpus": question.gpus,
        "gpu_bytes": question.gpu.memory,
        "model": _model(question),
        "lengths": question.lengths.source,
        "lengths_told": question.lengths.told,
        "warnings": [*_unknown(question), *_remarks(found)],
    }


def _phases(found: Estimate) -> dict[str, Any]:
    """A phase takes memory, time, or both; what one does not take is null."""
    memory, seconds = found.memory, found.time.phases if found.time else {}
    return {
        phase: {
            "peak_bytes": memory.peaks.get(phase),
            "categories": dict(memory.phases[phase]) if phase in memory.phases else None,
            "seconds": seconds.get(phase),
        }
        for phase in dict.fromkeys((*memory.phases, *seconds))
    }


def _model(question: Question) -> dict[str, Any]:
    facts = question.actor.model
    counted = parameters_of(facts)
    return {
        "model_type": facts.model_type,
        "parameters": counted.total,
        "active_parameters": counted.active,
        "assumed": list(counted.assumed),
    }


def _unknown(question: Question) -> Iterator[dict[str, str]]:
    """What a model of an unknown architecture was taken to have."""
    facts = question.actor.model
    if facts.is_known:
        return
    assumed = ", ".join(parameters_of(facts).assumed)
    yield {
        "field": "model",
        "message": f"The architecture {facts.model_type} is not known here: this is a generic "
        f"estimate. Its config.json does not tell these, which are taken as Llama's: {assumed}.",
    }


def _remarks(found: Estimate) -> Iterator[dict[str, str]]:
    for remark in found.remarks:
        yield {"field": remark.field, "message": remark.message}


def as_text(told: Mapping[str, Any]) -> str:
    return "\n".join(_lines(told))


def _lines(told: Mapping[str, Any]) -> Iterator[str]:
    low, high = map(size_text, told["band"])
    parameters = told["model"]["parameters"]
    assumed = " (an estimate)" if told["model"]["assumed"] else ""
    yield f"{told['model']['model_type']}, {parameters:,} parameters{assumed}"
    yield (
        f"{VERDICTS[told['fits']]} {told['gpus']} x {told['gpu']}: the peak is "
        f"{size_text(told['peak_bytes'])} a GPU ({low} to {high}) of "
        f"{size_text(told['gpu_bytes'])}."
    )
    yield ""
    yield from _table(told["phases"])
    yield ""
    yield f"Memory of a machine: {size_text(told['host_bytes'])}"
    yield f"A checkpoint: {size_text(told['checkpoint_bytes'])}"
    if told["seconds_per_step"] is not None:
        yield from _times(told)


def _table(phases: Mapping[str, Any]) -> Iterator[str]:
    """A line for each phase: its peak, what takes it, and its seconds."""
    used = [
        name
        for name in CATEGORIES
        if any((phase["categories"] or {}).get(name) for phase in phases.values())
    ]
    heads = ("phase", "peak", *(name.replace("_", " ") for name in used), "seconds")
    rows = [heads, *(_row(name, phase, used) for name, phase in phases.items())]
    widths = [max(len(row[at]) for row in rows) for at in range(len(heads))]
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        yield "  ".join(cells)


def _row(name: str, phase: Mapping[str, Any], used: list[str]) -> tuple[str, ...]:
    parts, seconds = phase["categories"] or {}, phase["seconds"]
    peak = "-" if phase["peak_bytes"] is None else size_text(phase["peak_bytes"])
    sizes = (size_text(parts[each]) if parts.get(each) else "-" for each in used)
    return (
        name.replace("_", " "), peak, *sizes, "-" if seconds is None else f"{seconds:,.1f}",
    )  # fmt: skip


def _times(told: Mapping[str, Any]) -> Iterator[str]:
    low, high = told["seconds_band"]
    yield (
        f"A step: {told['seconds_per_step']:,.1f} s ({low:,.1f} to {high:,.1f}), "
        f"{told['tokens_per_second']:,.0f} tokens/s, from {told['basis']}"
    )
    if told["total_seconds"] is not None:
        yield f"The whole run: {duration(timedelta(seconds=told['total_seconds']))}"
    if told["cost"] is not None:
        yield f"It costs {money_text(told['cost'], told['currency'])}"
