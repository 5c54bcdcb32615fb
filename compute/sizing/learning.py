"""What finished runs teach the estimate of the next one on the same card and family of models.

The formula is a first guess of the logarithm of each figure, off by as much as its band says. Each
run measures how far, give or take the scatter from run to run. Guess and measurements together make
a normal distribution with a known mean and variance (conjugate updating: Gelman et al., Bayesian
Data Analysis, 3rd edition, section 2.5).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import exp, log
from statistics import fmean

from compute.sizing import answer
from compute.sizing.answer import Memory, Time
from compute.sizing.memory.allocated import allocated, peak_of
from compute.sizing.memory.ledger import memory_of
from compute.sizing.question import Question
from compute.sizing.speed.times import time_of

Phases = Mapping[str, Mapping[str, int]]
NINE_IN_TEN = 1.645  # standard deviations below and above the mean
# Of the logarithm, without any run: how far the formula is off, and how far two runs lie apart.
GUESS_OF_TIME, SCATTER_OF_TIME = 0.36, 0.1  # a factor of 1.8 is the roofline's own band
GUESS_OF_PEAK, SCATTER_OF_PEAK = 0.06, 0.03
OWN = 4  # runs that the scatter above is worth, against that of the runs themselves
BELIEVED = 4.0  # a ratio beyond this factor tells of another fault than the formula's
FULL = 0.8  # of its largest: a usual micro batch that is so large meets the largest, too


@dataclass(frozen=True)
class Measured:
    """What a run measured: ``peak`` in bytes, as the training process's allocator counts, and
    seconds of a step for each phase. ``seconds`` is the whole step, without saving."""

    peak: float | None = None
    phases: Mapping[str, float] | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class Lesson:
    """One run: what was measured, by what the formula says, of the peak and of each phase."""

    peak: float | None
    phases: Mapping[str, float]


@dataclass(frozen=True)
class Factor:
    """By what to multiply the formula's figure, and the band around the result, as factors."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Correction:
    """What ``runs`` finished runs teach. A phase that none of them had is left out."""

    runs: int
    peak: Factor | None
    phases: Mapping[str, Factor]


def whole_step(question: Question, phases: Mapping[str, float]) -> float:
    """Seconds of a usual step, which saves nothing unless each one does."""
    left_out = () if question.saving.every == 1 else (answer.SAVE,)
    return sum(seconds for phase, seconds in phases.items() if phase not in left_out)


def lesson_of(question: Question, measured: Measured) -> Lesson:
    """What a run of this question teaches.

    A run that needed less memory than it could teaches nothing of its peak, unless its micro
    batches were full: otherwise it may not have met the longest rows, which are estimated. Where
    only the whole step was measured, all its phases are as far off.
    """
    told = time_of(question).phases
    if measured.phases:
        ratios = {p: s / told[p] for p, s in measured.phases.items() if told.get(p)}
    elif measured.seconds and (whole := whole_step(question, told)):
        ratios = dict.fromkeys(told, measured.seconds / whole)
        ratios.pop(answer.SAVE, None)
    else:
        ratios = {}
    peak = None
    if measured.peak:
        peak = measured.peak / peak_of(allocated(question, memory_of(question)))
        peak = peak if peak >= 1 or _is_full(question) else None
    kept = {phase: ratio for phase, ratio in ratios.items() if _is_believed(ratio)}
    return Lesson(peak if peak and _is_believed(peak) else None, kept)


def _is_full(question: Question) -> bool:
    return question.update.mean_tokens >= FULL * question.update.tokens


def _is_believed(ratio: float) -> bool:
    return 1 / BELIEVED <= ratio <= BELIEVED


def correction_of(lessons: Sequence[Lesson]) -> Correction | None:
    """What runs of one card and one family of models teach; None where they teach nothing."""
    teaching = [each for each in lessons if each.peak or each.phases]
    peaks = [each.peak for each in teaching if each.peak]
    times = {
        phase: [each.phases[phase] for each in teaching if phase in each.phases]
        for phase in dict.fromkeys(phase for each in teaching for phase in each.phases)
    }
    if not teaching:
        return None
    return Correction(
        runs=len(teaching),
        peak=factor_of(peaks, GUESS_OF_PEAK, SCATTER_OF_PEAK) if peaks else None,
        phases={
            phase: factor_of(ratios, GUESS_OF_TIME, SCATTER_OF_TIME)
            for phase, ratios in times.items()
        },
    )


def factor_of(ratios: Sequence[float], guess: float, scatter: float) -> Factor:
    """The factor that these ratios teach, and where nine of ten further runs will lie.

    ``guess`` and ``scatter`` are standard deviations of the logarithm: see above.
    """
    logs, count = [log(ratio) for ratio in ratios], len(ratios)
    mean = fmean(logs)
    squares = sum((each - mean) ** 2 for each in logs)
    variance = (OWN * scatter**2 + squares) / (OWN + count - 1)
    known = 1 / guess**2 + count / variance  # of the mean, as one over its variance
    value = exp(mean * count / variance / known)
    width = exp(NINE_IN_TEN * (variance + 1 / known) ** 0.5)
    return Factor(value, 1 / width, width)


def corrected_time(time: Time, correction: Correction) -> Time:
    """The times as the runs teach them. A phase that they say nothing of keeps its band."""
    if not correction.phases:
        return time
    usual = Factor(1.0, *time.band)
    factors = {phase: correction.phases.get(phase, usual) for phase in time.phases}
    phases = {phase: seconds * factors[phase].value for phase, seconds in time.phases.items()}
    total = sum(phases.values())
    low = sum(seconds * factors[phase].low for phase, seconds in phases.items()) / total
    high = sum(seconds * factors[phase].high for phase, seconds in phases.items()) / total
    update = factors[answer.UPDATE].value if answer.UPDATE in factors else 1.0
    return replace(
        time,
        phases=phases,
        band=(low, high),
        tokens_per_second=time.tokens_per_second * time.seconds / total,
        mfu=None if time.mfu is None else time.mfu / update,
    )


def corrected_memory(question: Question, memory: Memory, correction: Correction) -> Memory:
    """The memory as the runs teach it.

    What they saw is the training process's own part. What that is off by goes to the activations,
    which are estimated; weights, gradients and optimizer are counted. The rollout's share stays.
    """
    factor = correction.peak
    if factor is None:
        return memory
    own = allocated(question, memory)
    found = replace(memory, phases=corrected_phases(memory.phases, own, factor))
    trained = max(found.peaks[phase] for phase in own)
    others = [size for phase, size in found.peaks.items() if phase not in own]
    return replace(found, band=corrected_band(memory.band, memory.peak, factor, trained, others))


def corrected_phases(phases: Phases, own: Mapping[str, int], factor: Factor) -> Phases:
    """Phases of which ``own`` is the training process's part."""
    found = dict(phases)
    for phase, size in own.items():
        parts = phases[phase]
        more = round(size * (factor.value - 1))
        found[phase] = {**parts, "activations": max(0, parts["activations"] + more)}
    return found


def corrected_band(
    band: tuple[int, int], peak: int, factor: Factor, trained: int, others: Iterable[int]
) -> tuple[int, int]:
    """Where the peak lies by what runs teach. ``band`` and ``peak`` are the formula's, ``trained``
    is the highest corrected phase of training, and ``others`` are the rest."""
    rest = max(others, default=0)
    low, high = (bound / peak for bound in band)
    return (
        round(max(trained * factor.low, rest * low)),
        round(max(trained * factor.high, rest * high)),
    )
