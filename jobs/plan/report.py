"""A plan for programs and for a terminal."""

from collections.abc import Iterator, Mapping
from typing import Any

from django.conf import settings

from jobs.verl.planning import Offer, Plan
from platform_site.counts import money_text, size_text


def as_json(plan: Plan) -> dict[str, Any]:
    """``offers`` are empty where nothing fits; ``instead`` are changes with which it would."""
    question = plan.asked.question
    least = plan.least
    return {
        "goal": plan.asked.goal,
        "gpu": question.gpu.slug,
        "gpus": question.gpus,
        "memory": question.gpu.memory,
        "tried": plan.tried,
        "fits": bool(plan.offers),
        "least_peak_bytes": least.memory.band[1] if least else None,
        "lengths": question.lengths.source,
        "lengths_told": question.lengths.told,
        "currency": settings.TRAINYARD_CURRENCY,
        "offers": [_offer(offer) for offer in plan.offers],
        "instead": [_offer(offer) for offer in plan.instead],
    }


def _offer(offer: Offer) -> dict[str, Any]:
    choice = offer.choice
    return {
        "title": offer.title,
        "gpus": choice.question.gpus,
        "peak_bytes": choice.memory.peak,
        "band": list(choice.memory.band),
        "seconds_per_step": choice.seconds,
        "seconds_band": [factor * choice.seconds for factor in choice.time.band],
        "tokens_per_second": choice.time.tokens_per_second,
        "cost_per_step": None if choice.price is None else choice.cost,
        "basis": choice.time.basis,
        "settings": [
            {"name": row.name, "now": row.now, "planned": row.planned, "why": row.why}
            for row in offer.rows
        ],
        "warnings": list(offer.warnings),
        "values": dict(offer.spec.values),
        "overrides": list(offer.spec.overrides),
    }


def as_text(told: Mapping[str, Any]) -> str:
    return "\n".join(_lines(told))


def _lines(told: Mapping[str, Any]) -> Iterator[str]:
    if not told["offers"]:
        yield (
            f"Nothing fits {told['gpus']} x {told['gpu']}: {told['tried']} settings were tried, "
            f"and the smallest needs up to {size_text(told['least_peak_bytes'])} of "
            f"{size_text(told['memory'])} a GPU."
        )
    for offer in told["offers"] or told["instead"]:
        yield from ("", *_of_offer(offer, told["currency"]))
    if told["lengths_told"]:
        yield f"\n{told['lengths_told']}"
    if told["offers"]:
        yield f"\n{told['tried']} settings were tried. All figures are estimates."
    if "draft" in told:
        yield f"Job {told['draft']} is saved as a draft with the first of them."


def _of_offer(offer: Mapping[str, Any], currency: str) -> Iterator[str]:
    yield offer["title"]
    low, high = map(size_text, offer["band"])
    price = offer["cost_per_step"]
    cost = "" if price is None else f", {money_text(price, currency)}"
    yield f"  peak {size_text(offer['peak_bytes'])} a GPU ({low} to {high})"
    first, last = offer["seconds_band"]
    yield f"  a step {offer['seconds_per_step']:.1f} s ({first:.1f} to {last:.1f}){cost}"
    for warning in offer["warnings"]:
        yield f"  Warning: {warning}"
    for row in offer["settings"]:
        arrow = f"{row['now']} -> {row['planned']}" if row["now"] != row["planned"] else row["now"]
        yield f"  {row['name']:<28} {arrow:<24} {row['why']}".rstrip()
