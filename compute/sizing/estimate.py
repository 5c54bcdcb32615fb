"""The estimate: memory and time of a question together, and the verdict."""

from collections.abc import Mapping

from compute.sizing.answer import ROLLOUT, Estimate, Memory, Remark, Time
from compute.sizing.learning import Correction, corrected_memory, corrected_time
from compute.sizing.memory.ledger import memory_of
from compute.sizing.memory.rollout import one_row
from compute.sizing.question import Question
from compute.sizing.speed.times import time_of
from platform_site.counts import counted, size_text

HOST_BAND = (0.75, 1.25)  # around the host's memory: processes and caches are rough (assumed)


def estimate(
    question: Question,
    price_per_gpu_hour: float | None = None,
    correction: Correction | None = None,
) -> Estimate:
    """Whether a job fits its cards, how long a step takes, and what it costs.

    ``price_per_gpu_hour`` is in the currency of the price table; the cost is of the whole run and
    is None without a price or a number of steps. ``correction`` is what finished runs of the same
    card and family of models teach.
    """
    memory, time = memory_of(question), time_of(question)
    if correction:
        memory = corrected_memory(question, memory, correction)
        time = corrected_time(time, correction)
    steps = question.saving.steps
    total = None if steps is None else steps * time.seconds
    cost = None
    if total is not None and price_per_gpu_hour is not None:
        cost = total / 3600 * price_per_gpu_hour * question.cards
    return Estimate(
        memory=memory,
        time=time,
        fits=fits(question, memory),
        cards=question.cards,
        total_seconds=total,
        cost=cost,
        remarks=(
            *memory.remarks,
            *time.remarks,
            *_remarks(question, memory),
            *_learned(question, correction),
            *_told(question),
        ),
        runs=correction.runs if correction else 0,
        told=question.lengths.told,
    )


def fits(question: Question, memory: Memory) -> bool | None:
    """Whether all of the band lies within the card; None where a part of it does.

    False also where the host's memory, or the cache of the rollout, is too small.
    """
    if not rollout_starts(question, memory):
        return False
    return _both(_card_holds(question, memory), host_holds(question, memory.host))


def _both(one: bool | None, other: bool | None) -> bool | None:
    if one is False or other is False:
        return False
    return True if one and other else None


def _card_holds(question: Question, memory: Memory) -> bool | None:
    low, high = memory.band
    return _within(low, high, question.gpu.memory)


def host_holds(question: Question, host: int) -> bool | None:
    """The host's memory is estimated roughly, and unknown where nobody measured the machine."""
    there = question.host_memory
    if there is None:
        return True
    low, high = (factor * host for factor in HOST_BAND)
    return _within(low, high, there)


def _within(low: float, high: float, room: int) -> bool | None:
    if low > room:
        return False
    return True if high <= room else None


def rollout_starts(question: Question, memory: Memory) -> bool:
    return cache_holds(question, memory.phases.get(ROLLOUT, {}))


def cache_holds(question: Question, awake: Mapping[str, int]) -> bool:
    """vLLM and SGLang refuse a cache that does not hold one row of the longest sort. ``awake`` is
    what the rollout holds on a card."""
    rollout = question.rollout
    if rollout is None or rollout.engine == "hf":
        return True
    return awake["kv_cache"] >= one_row(question, rollout)


def _learned(question: Question, correction: Correction | None) -> list[Remark]:
    if correction is None:
        return []
    runs = counted(correction.runs, "finished run")
    model = question.actor.model.model_type
    return [Remark(f"Corrected by what {runs} of {model} models on this card measured.")]


def _told(question: Question) -> list[Remark]:
    """Where the mean answer comes from, if a run told it."""
    return [Remark(question.lengths.told)] if question.lengths.told else []


def _remarks(question: Question, memory: Memory) -> list[Remark]:
    found = []
    if not rollout_starts(question, memory):
        found.append(
            Remark(
                f"The rollout's share leaves {size_text(memory.phases[ROLLOUT]['kv_cache'])} for "
                f"keys and values, which does not hold one row of {question.lengths.longest:,} "
                "tokens: its engine would not start.",
                "gpu_memory",
            )
        )
    if question.host_memory is not None and host_holds(question, memory.host) is not True:
        found.append(
            Remark(
                f"A machine needs about {size_text(memory.host)} of its own memory, and has "
                f"{size_text(question.host_memory)}."
            )
        )
    return found


__all__ = ["Estimate", "Time", "estimate", "fits", "rollout_starts"]
