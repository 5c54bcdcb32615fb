"""How long a training step takes, phase by phase."""

from functools import lru_cache

from compute.sizing import answer
from compute.sizing.answer import Remark, Time
from compute.sizing.question import Lengths, Question, Rollout, Served
from compute.sizing.speed.counts import COUNTED, trained_flops
from compute.sizing.speed.kernels import Card, card_of
from compute.sizing.speed.lengths import spread
from compute.sizing.speed.rollout import filled, sampled
from compute.sizing.speed.shapes import shape_of
from compute.sizing.speed.sharding import loaded
from compute.sizing.speed.training import scored, updated
from compute.sizing.speed.transfer import saved, synced

ROOFLINE = "the roofline of the card, with stated efficiencies"
MEASURED_BAND = (0.67, 1.5)
BAND = (0.55, 1.8)
ASSUMED = 1.3  # how much wider the band is where the answers' lengths are assumed
CHUNK = 8192  # tokens of one pass of the reward model, its engine's default


def time_of(question: Question) -> Time:
    """Seconds of one training step on ``question.gpus`` GPUs, and the rates that follow.

    The answer is of the settings alone: whether they fit is for ``memory_of``.
    """
    card, shape = card_of(question.gpu), shape_of(question.actor.model)
    phases = trained(question)
    remarks: tuple[Remark, ...] = ()
    if rollout := question.rollout:
        seconds = sampling(question)
        phases[answer.ROLLOUT] = waited(rollout, seconds, sum(phases.values()))
        remarks = _remarks(rollout, seconds)
    if saving := saved(question):
        phases[answer.SAVE] = saving
    tokens = _tokens(question)
    flops = trained_flops(shape, _length(question.lengths)) * tokens
    mfu = flops / (phases[answer.UPDATE] * question.gpus * question.gpu.flops)
    return Time(
        phases=phases,
        band=_band(question, card),
        tokens_per_second=tokens / sum(phases.values()),
        mfu=mfu,
        mfu_counts=COUNTED,
        basis=card.tables.source if card.tables else ROOFLINE,
        remarks=remarks,
    )


def trained(question: Question) -> dict[str, float]:
    """Seconds of all phases but the rollout and saving, whatever the rollout is like."""
    card, length, tokens = card_of(question.gpu), _length(question.lengths), _tokens(question)
    phases = {answer.UPDATE: updated(card, question, question.actor, question.update, length)}
    _score(card, question, phases, length, tokens)
    if question.critic and question.critic_update:
        critic, update = question.critic, question.critic_update
        phases[answer.CRITIC] = updated(card, question, critic, update, length)
    if rollout := question.rollout:
        phases[answer.SYNC] = synced(card, question, shape_of(question.actor.model))
        if model := question.reward_model:
            gpus = _gpus(question, rollout)
            per_node = question.per_node
            phases[answer.REWARD] = _judged(card, model, length, tokens, gpus, per_node)
    return phases


def sampling(question: Question) -> float:
    """Seconds in which the rollout samples, whatever the training is like; 0 without one."""
    rollout = question.rollout
    if not rollout:
        return 0.0
    card, shape, lengths = card_of(question.gpu), shape_of(question.actor.model), question.lengths
    rows, answers, gpus = question.rows, question.answers, _gpus(question, rollout)
    per_node = question.per_node
    return sampled(card, shape, rollout, lengths, rows, answers, gpus, per_node).seconds


def waited(rollout: Rollout, seconds: float, trained: float) -> float:
    """What of a rollout training waits for: all of it, where both share their cards."""
    return seconds if rollout.colocated else max(0.0, seconds - trained)


def _remarks(rollout: Rollout, seconds: float) -> tuple[Remark, ...]:
    if rollout.colocated:
        return ()
    message = f"The rollout takes {seconds:.0f} s on GPUs of its own, beside training."
    return (Remark(message),)


def _gpus(question: Question, rollout: Rollout) -> int:
    return question.gpus if rollout.colocated else rollout.gpus


@lru_cache(maxsize=1024)
def _length(told: Lengths) -> int:
    """The length of sequences by which attention goes: the mean of its square by its mean."""
    if not told.answer:
        rows = spread(told.prompt, told.longest_prompt)
        return max(1, round(rows.square / max(rows.mean, 1e-9)))
    answers = spread(told.answer, told.longest_answer)
    square = told.prompt**2 + 2 * told.prompt * told.answer + answers.square
    return max(1, round(square / told.mean))


def _tokens(question: Question) -> float:
    """Tokens of one step over all GPUs."""
    told, update = question.lengths, question.update
    if question.rollout:
        return question.rows * question.answers * told.mean
    groups = question.gpus / question.actor.sequence_parallel
    return update.mean_tokens * update.micro_batches * update.steps * groups


def _score(
    card: Card, question: Question, phases: dict[str, float], length: int, tokens: float
) -> None:
    """Adds the passes without gradient. verl asks the actor's own for entropies, and keeps the
    reference in the machine's memory whatever its settings say."""
    most = question.log_prob_tokens or question.update.tokens
    if question.rollout:
        own = scored(card, question, question.actor, length, tokens, most, True)
        phases[answer.LOG_PROB] = own
    if reference := question.reference:
        phases[answer.REF] = scored(card, question, reference, length, tokens, most, False)
        if not reference.param_offload:
            phases[answer.REF] += loaded(card, shape_of(reference.model), reference)
    if critic := question.critic:
        most = question.most_values_tokens or most
        phases[answer.VALUES] = scored(card, question, critic, length, tokens, most, False)


def _judged(
    card: Card, served: Served, length: int, tokens: float, gpus: int, per_node: int
) -> float:
    """The reward model reads every prompt and answer once, in chunks of its engine."""
    each = tokens / max(1, gpus // served.tensor_parallel)
    rows = max(1, min(CHUNK, round(each)))
    shape = shape_of(served.model)
    ways = served.tensor_parallel
    return each / rows * filled(card, shape, rows, length, ways, per_node, False, False)


def _band(question: Question, card: Card) -> tuple[float, float]:
    low, high = MEASURED_BAND if card.tables else BAND
    if question.rollout and question.lengths.source == "assumed":
        return low / ASSUMED, high * ASSUMED
    return low, high
