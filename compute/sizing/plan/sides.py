"""A question as two sides, how it trains and how it samples: each is worked out once, and every
pairing of them is judged.

No phase of a step goes by settings of both sides, but for what the one holds on the card while the
other works. So the peak of a pairing is the highest of a few sums, and its time is a sum.
"""

from dataclasses import dataclass

from compute.sizing import answer
from compute.sizing.estimate import cache_holds, host_holds
from compute.sizing.learning import Correction, corrected_band, corrected_phases
from compute.sizing.memory import allocated, ledger, overhead, storage
from compute.sizing.memory.ledger import Sampled, Trained
from compute.sizing.plan.copies import replaced
from compute.sizing.question import Question
from compute.sizing.speed import times
from compute.sizing.speed.transfer import saved


@dataclass(frozen=True)
class Terms:
    """What holds for all settings: ``price`` of one GPU for an hour, None where it is not known,
    and the ``correction`` that finished runs teach."""

    price: float | None = None
    correction: Correction | None = None

    def cost(self, gpus: int, seconds: float) -> float:
        """Of one step; in GPU-seconds where no price is known."""
        return seconds * gpus * (1 if self.price is None else self.price / 3600)

    def factor(self, phase: str) -> float:
        """By what to multiply the seconds of a phase."""
        taught = self.correction.phases.get(phase) if self.correction else None
        return taught.value if taught else 1.0


NOTHING_MORE = Terms()


@dataclass(frozen=True, eq=False)
class Training:
    """A question without its rollout. ``own`` and ``rest`` are the highest phases of the training
    process, and of others that the rollout sleeps beside, as finished runs correct them. ``told``
    are the formula's seconds, ``seconds`` the corrected ones, without rollout and saving."""

    question: Question
    held: Trained
    own: int
    rest: int
    host_holds: bool
    told: float
    seconds: float
    saving: float


@dataclass(frozen=True, eq=False)
class Sampling:
    """The rollout of a question; ``starts`` is whether its cache holds a row."""

    question: Question
    held: Sampled
    starts: bool
    seconds: float


@dataclass(frozen=True, eq=False)
class Pairing:
    """A whole setting: the upper end of its band, its peak, its time and its cost."""

    training: Training
    sampling: Sampling
    high: int
    peak: int
    fits: bool
    seconds: float
    cost: float

    @property
    def question(self) -> Question:
        return replaced(self.training.question, rollout=self.sampling.question.rollout)


def training_of(question: Question, terms: Terms) -> Training:
    held, told = ledger.trained_of(question), times.trained(question)
    own, rest = _corrected(held, terms.correction)
    return Training(
        question=question,
        held=held,
        own=own,
        rest=rest,
        host_holds=host_holds(question, storage.host(question)) is True,
        told=sum(told.values()),
        seconds=sum(seconds * terms.factor(phase) for phase, seconds in told.items()),
        saving=saved(question) * terms.factor(answer.SAVE),
    )


def sampling_of(question: Question) -> Sampling:
    held = ledger.sampled_of(question)
    return Sampling(question, held, cache_holds(question, held.awake), times.sampling(question))


def paired(training: Training, sampling: Sampling, terms: Terms) -> Pairing:
    question = training.question
    peak, band = _peak(training, sampling, terms.correction)
    seconds = training.seconds + _waited(training, sampling, terms) + training.saving
    return Pairing(
        training=training,
        sampling=sampling,
        high=band[1],
        peak=peak,
        fits=sampling.starts and training.host_holds and band[1] <= question.gpu.memory,
        seconds=seconds,
        cost=terms.cost(question.cards, seconds),
    )


def _waited(training: Training, sampling: Sampling, terms: Terms) -> float:
    rollout = sampling.question.rollout
    if not rollout:
        return 0.0
    return times.waited(rollout, sampling.seconds, training.told) * terms.factor(answer.ROLLOUT)


def _corrected(held: Trained, correction: Correction | None) -> tuple[int, int]:
    if not correction or not correction.peak:
        return 0, 0
    own = allocated.beside(0, held.phases)
    phases = corrected_phases(held.phases, own, correction.peak)
    sizes = {phase: sum(parts.values()) for phase, parts in phases.items()}
    rest = [size for phase, size in sizes.items() if phase not in own]
    return max(sizes[phase] for phase in own), max(rest, default=0)


def _peak(
    training: Training, sampling: Sampling, correction: Correction | None
) -> tuple[int, tuple[int, int]]:
    """The highest of all phases, and its band."""
    peak, unseen = ledger.peak_of(training.held, sampling.held)
    band = overhead.band(peak, unseen)
    if not correction or not correction.peak:
        return peak, band
    asleep = sampling.held.asleep
    rest = [training.rest + asleep] if training.rest else []
    if sampling.held.awake:
        rest += [size for size, _ in ledger.awake_of(training.held, sampling.held)]
    own = training.own + asleep
    band = corrected_band(band, peak, correction.peak, own, rest)
    return max([own, *rest]), band
