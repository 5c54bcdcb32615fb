"""From the measured peak of each phase to the micro batches and the memory share that fill a card.

Everything else of the job stays. The estimate says how a peak grows with a setting; by how much the
estimate of a phase was off, the measurement says.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from compute.sizing import answer
from compute.sizing.estimate import rollout_starts
from compute.sizing.learning import Correction, corrected_memory
from compute.sizing.memory.ledger import memory_of
from compute.sizing.question import Question
from jobs.verl.batches import check_batches
from jobs.verl.effective import QuestionError
from jobs.verl.levers import Lever, levers_of
from jobs.verl.plan_words import Row, in_words
from jobs.verl.spec import TrainSpec, Value
from platform_site.counts import size_text

FULL = 0.9  # of a card: the rest is for fragments and for rows that no two steps met
KEPT = "No phase of it was measured: it keeps its value, and no longer follows another setting."
NONE_JUDGED = "None of its settings could be judged."
NONE_FITS = "No micro batch or share was found that fits: see the table."
FILLED = "The settings fill the card well already. Nothing else is proposed."

Ask = Callable[[TrainSpec], Question]
"""The question of a spec, with the card, the model and the lengths of the run that was measured.
Raises ``QuestionError``."""


@dataclass(frozen=True)
class Measured:
    """The peak of a phase: bytes of the card. One that ``ran_out`` needs more than the card has."""

    card: int
    ran_out: bool = False


@dataclass(frozen=True)
class Proposal:
    """``spec`` is the job with the settings in ``rows``. ``estimated`` are the peaks of its phases
    before anything was measured, ``expected`` those of the proposal, where they are known. It
    ``fits`` where each of the rows does."""

    spec: TrainSpec
    rows: tuple[Row, ...]
    estimated: Mapping[str, int]
    expected: Mapping[str, int]
    fits: bool = True

    @property
    def changes(self) -> bool:
        return any(row.is_changed for row in self.rows)

    @property
    def said(self) -> str:
        """What there is to say of it beside its rows; empty for nothing."""
        if not self.rows:
            return NONE_JUDGED
        if not self.fits:
            return NONE_FITS
        return "" if self.changes else FILLED


@dataclass(frozen=True)
class Try:
    value: Value
    spec: TrainSpec
    question: Question
    expected: Mapping[str, int]
    fits: bool

    def peak(self, phases: Iterable[str]) -> int:
        return max(self.expected[phase] for phase in phases if phase in self.expected)


def propose(
    spec: TrainSpec,
    ask: Ask,
    measured: Mapping[str, Measured],
    correction: Correction | None = None,
) -> Proposal:
    """The settings for a job, of which ``measured`` has the phases. Raises ``QuestionError``."""
    card = Card(ask(spec), measured, correction)
    changed, rows, fits = spec, [], True
    for lever in levers_of(spec, card.question):
        now = lever.read(spec)
        known = tuple(phase for phase in lever.phases if phase in measured)
        if known and (tries := [*_tries(lever, known, changed, ask, card)]):
            best = _best(lever, tries)
            why = " ".join(_why(lever, known, best, tries, card))
            rows.append(Row(lever.name, lever.label, in_words(now), in_words(best.value), why))
            fits = fits and best.fits
            if best.value != lever.read(changed):  # what is so anyway stays unset
                changed = best.spec
        elif lever.is_set(changed) and not lever.is_set(spec):
            rows.append(Row(lever.name, lever.label, in_words(now), in_words(now), KEPT))
    return Proposal(changed, tuple(rows), card.estimated, card.expected(ask(changed)), fits)


class Card:
    """A card with what was measured on it; it says what a phase takes with other settings."""

    def __init__(
        self,
        question: Question,
        measured: Mapping[str, Measured],
        correction: Correction | None = None,
    ) -> None:
        self.question, self.measured, self.correction = question, measured, correction
        self.limit = question.gpu.memory
        self.room = round(FULL * self.limit)
        self.estimated = self._peaks(question)
        self.factors = {
            phase: self._least(found) / self.estimated[phase]
            for phase, found in measured.items()
            if self.estimated.get(phase)
        }

    def _least(self, found: Measured) -> int:
        return max(found.card, self.limit) if found.ran_out else found.card

    def _peaks(self, question: Question) -> dict[str, int]:
        memory = memory_of(question)
        if self.correction:
            memory = corrected_memory(question, memory, self.correction)
        return dict(memory.peaks)

    def expected(self, question: Question) -> dict[str, int]:
        """The peak of each phase that was measured."""
        peaks = self._peaks(question)
        found = {phase: round(peaks[phase] * factor) for phase, factor in self.factors.items()}
        now, then = self.question.rollout, question.rollout
        if answer.ROLLOUT in found and now and then and then.engine != "hf":
            # It takes its share of the card, whatever it needs.
            least = self._least(self.measured[answer.ROLLOUT])
            more = (then.memory_share - now.memory_share) * self.limit
            found[answer.ROLLOUT] = least + round(more)
        return found


def _tries(
    lever: Lever, known: tuple[str, ...], spec: TrainSpec, ask: Ask, card: Card
) -> Iterator[Try]:
    """What verl takes, from the smallest; the value that the job has now is one of them."""
    now = lever.read(spec)
    for value in sorted({*lever.values, now}):
        if found := _try(lever, known, lever.put(spec, value), value, ask, card):
            yield found


def _try(
    lever: Lever, known: tuple[str, ...], spec: TrainSpec, value: Value, ask: Ask, card: Card
) -> Try | None:
    if lever.read(spec) != value:
        return None  # an override of a whole node beats it
    try:
        question = ask(spec)
    except QuestionError:
        return None
    if any(check_batches(spec)) or not rollout_starts(question, memory_of(question)):
        return None
    expected = card.expected(question)
    fits = all(expected[phase] <= card.room for phase in known if phase in expected)
    return Try(value, spec, question, expected, fits)


def _best(lever: Lever, tries: list[Try]) -> Try:
    fitting = [one for one in tries if one.fits]
    if not fitting:
        return tries[0]
    return next((one for one in fitting if lever.enough(one.question)), fitting[-1])


def _why(
    lever: Lever, known: tuple[str, ...], best: Try, tries: list[Try], card: Card
) -> Iterator[str]:
    for phase in known:
        found = card.measured[phase]
        name = phase.replace("_", " ")
        if found.ran_out:
            yield f"Memory ran out in {name}."
        else:
            yield f"Measured in {name}: {size_text(found.card)}."
    limit, peak = size_text(card.limit), size_text(best.peak(known))
    if not best.fits:
        yield f"Even {in_words(best.value)} would take about {peak} of {limit}: that is too much."
        return
    yield f"{in_words(best.value)} takes about {peak} of {limit}."
    larger = next((one for one in tries if one.value > best.value), None)  # type: ignore[operator]
    if lever.enough(best.question):
        yield "All answers of a card have room in it at once."
    elif larger:
        yield f"{in_words(larger.value)} would take about {size_text(larger.peak(known))}."
