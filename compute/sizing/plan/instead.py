"""What would fit: more GPUs, an adapter, shorter answers; and how far one can go."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from compute.sizing.facts import ModelFacts
from compute.sizing.plan.search import Choice, search
from compute.sizing.plan.shapes import with_gpus, with_longest, with_lora, with_model
from compute.sizing.plan.sides import NOTHING_MORE, Terms
from compute.sizing.question import Question

MOST_GPUS = 1024
RANK = 32  # of the adapter that is proposed
SHORTEST, MOST = 64, 1 << 20  # tokens


@dataclass(frozen=True)
class Instead:
    """A change of the job, in words, and the settings with which it fits."""

    change: str
    choice: Choice


def nearest(question: Question, terms: Terms = NOTHING_MORE) -> Iterator[Instead]:
    """The smallest change of each sort with which the job fits. Each alone, none where none."""
    gpus = fewest_gpus(question, terms, more_than=question.gpus)
    if gpus:
        yield Instead(f"{gpus.question.gpus} GPUs in place of {question.gpus}", gpus)
    if not question.actor.lora:
        adapter = fitting(with_lora(question, RANK), terms)
        if adapter:
            yield Instead(f"a LoRA adapter of rank {RANK} in place of all weights", adapter)
    shorter = longest(question, terms, most=_longest_of(question))
    if shorter:
        noun = "answers" if question.lengths.longest_answer else "rows"
        tokens = _longest_of(shorter.question)
        yield Instead(f"{noun} of at most {tokens:,} tokens", shorter)


def fitting(question: Question, terms: Terms = NOTHING_MORE) -> Choice | None:
    """The fastest settings that fit, or None."""
    return search([question], "fastest", terms).best


def fewest_gpus(
    question: Question, terms: Terms = NOTHING_MORE, more_than: int = 0
) -> Choice | None:
    """The job on the smallest number of GPUs, a power of two, on which anything fits."""
    count = 1
    while count <= MOST_GPUS:
        spread = with_gpus(question, count) if count > more_than else None
        if spread and (found := fitting(spread, terms)):
            return found
        count *= 2
    return None


def largest_model(
    question: Question, models: Sequence[ModelFacts], terms: Terms = NOTHING_MORE
) -> Choice | None:
    """The last of the models, from the smallest to the largest, with which anything fits. Those
    without positions for the longest row are left out. It is looked for by halves, since a larger
    model does not take less."""
    row = question.lengths.longest
    models = [one for one in models if one.max_positions is None or one.max_positions >= row]
    low, high, found = 0, len(models), None
    while low < high:
        middle = (low + high) // 2
        if choice := fitting(with_model(question, models[middle]), terms):
            found, low = choice, middle + 1
        else:
            high = middle
    return found


def longest(question: Question, terms: Terms = NOTHING_MORE, most: int = MOST) -> Choice | None:
    """The job with the longest answers (SFT and DPO: rows) that fit, of at most ``most`` tokens,
    and of as many as the model has positions for.

    Lengths are tried in doublings, and then halved in between three times: within an eighth.
    """
    room = min(most, positions_left(question))
    return _last(lambda tokens: fitting(with_longest(question, tokens), terms), room)


def positions_left(question: Question) -> int:
    """Tokens of an answer (SFT and DPO: of a row) that the model has positions for."""
    known = question.actor.model.max_positions
    if known is None:
        return MOST
    lengths = question.lengths
    return known - lengths.longest_prompt if lengths.longest_answer else known


def _last(fits: Callable[[int], Choice | None], most: int) -> Choice | None:
    if most < MOST and (whole := fits(most)):
        return whole
    low, best = SHORTEST, None
    while low <= most and (found := fits(low)):
        best, low = found, low * 2
    if best is None:
        return None
    low, high = low // 2, min(low, most + 1)
    for _ in range(3):
        middle = (low + high) // 2
        found = fits(middle)
        if found:
            best, low = found, middle
        else:
            high = middle
    return best


def _longest_of(question: Question) -> int:
    return question.lengths.longest_answer or question.lengths.longest_prompt
