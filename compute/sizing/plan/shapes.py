"""A question with another shape: other sharding, other micro batches, more GPUs, shorter answers.

The work of a step stays what it was: the same rows, in other portions.
"""

from functools import lru_cache
from math import ceil
from typing import Any

from compute.sizing.facts import ModelFacts
from compute.sizing.plan.copies import replaced
from compute.sizing.question import Engine, Lora, Question, Update


def longest_row(question: Question) -> int:
    """Tokens of the longest prompt with the longest answer; of both of a pair in DPO."""
    row = question.lengths.longest
    return 2 * row if question.update.pairs else row


def per_rank(question: Question) -> int:
    """The largest micro batch as verl's key counts it, for each GPU that shares a sequence."""
    return ceil(question.update.tokens / question.actor.sequence_parallel)


def with_engines(question: Question, **changes: Any) -> Question:
    """All engines are laid out alike; the work of a step is spread over them anew. Equal engines
    are the same object then."""
    before = question.gpus // question.actor.sequence_parallel
    changed = replaced(
        question,
        actor=_engine(question.actor, **changes),
        critic=question.critic and _engine(question.critic, **changes),
        reference=question.reference and _engine(question.reference, **changes),
    )
    return _spread(changed, before)


def with_trained(question: Question, **changes: Any) -> Question:
    """What only engines that are trained have."""
    return replaced(
        question,
        actor=_engine(question.actor, **changes),
        critic=question.critic and _engine(question.critic, **changes),
    )


@lru_cache(maxsize=1 << 13)
def _engine(engine: Engine, **changes: Any) -> Engine:
    return _first(replaced(engine, **changes))


@lru_cache(maxsize=1 << 13)
def _first(engine: Engine) -> Engine:
    """Of all that are equal. Caches find the same object faster than an equal one."""
    return engine


def with_rollout(question: Question, **changes: Any) -> Question:
    return replaced(question, rollout=question.rollout and replaced(question.rollout, **changes))


def with_answers_at_once(question: Question, count: int) -> Question:
    return with_rollout(question, most_sequences=count)


def with_tokens(question: Question, tokens: int) -> Question:
    """Micro batches of at most so many tokens on each GPU, but of the longest row at least; those
    without gradients keep their share of them. The critic's are all of one size."""
    together = question.actor.sequence_parallel
    # verl counts for each GPU: the longest row takes a whole number of tokens on each.
    least = ceil(longest_row(question) / together)
    whole = max(tokens, least) * together
    passes = question.log_prob_tokens * whole // (max(1, question.update.tokens) * together)
    return replaced(
        question,
        update=_filled(question.update, whole),
        critic_update=question.critic_update and _filled(question.critic_update, whole),
        log_prob_tokens=max(passes, least) * together if question.log_prob_tokens else 0,
        values_tokens=whole if question.values_tokens else 0,
    )


def _filled(update: Update, tokens: int, more: float = 1.0) -> Update:
    """verl divides the tokens of an optimizer step into as few micro batches as hold them, evenly.

    ``more`` is how many times the tokens there are on a GPU.
    """
    total = update.mean_tokens * update.micro_batches * more
    count = max(1, ceil(total / tokens))
    return replaced(update, tokens=tokens, micro_batches=count, mean_tokens=total / count)


def _spread(question: Question, before: int) -> Question:
    """The rows of a step over other ranks than ``before``."""
    now = question.gpus // question.actor.sequence_parallel
    if now == before:
        return question
    more = before / now
    critic = question.critic_update
    return replaced(
        question,
        update=_filled(question.update, question.update.tokens, more),
        critic_update=critic and _filled(critic, critic.tokens, more),
    )


def with_gpus(question: Question, gpus: int) -> Question | None:
    """The same step on another number of GPUs; None where the rows cannot be shared by them."""
    if question.rows * question.answers % gpus:
        return None
    before = question.gpus // question.actor.sequence_parallel
    cards = min(question.per_node, gpus)
    changed = replaced(question, gpus=gpus, per_node=cards)
    changed = _each_engine(changed, gpus)
    if changed.rollout and changed.rollout.tensor_parallel > cards:
        changed = with_rollout(changed, tensor_parallel=1)
    return _spread(changed, before)


def _each_engine(question: Question, gpus: int) -> Question:
    def laid_out(engine: Engine) -> Engine:
        together = engine.sequence_parallel
        return replaced(
            engine, shards=gpus, replicas=1, sequence_parallel=1 if gpus % together else together
        )

    return replaced(
        question,
        actor=laid_out(question.actor),
        critic=question.critic and laid_out(question.critic),
        reference=question.reference and laid_out(question.reference),
    )


def with_lora(question: Question, rank: int) -> Question:
    """An adapter in place of all weights; the base without it is the reference then."""
    return replaced(question, actor=replaced(question.actor, lora=Lora(rank)), reference=None)


def with_model(question: Question, model: ModelFacts) -> Question:
    """The same step with another model, whose attention heads nothing divides yet."""
    plain = with_engines(question, model=model, sequence_parallel=1)
    return with_rollout(plain, tensor_parallel=1)


def with_longest(question: Question, tokens: int) -> Question:
    """Answers of at most ``tokens`` (SFT and DPO: rows), and as much longer in the mean, unless a
    run measured how long they get."""
    old = question.lengths
    has_answers = old.longest_answer > 0
    longest = old.longest_answer if has_answers else old.longest_prompt
    factor = tokens / longest
    if has_answers:
        answer = min(old.answer, tokens) if old.source == "runs" else old.answer * factor
        lengths = replaced(old, longest_answer=tokens, answer=answer)
    else:
        lengths = replaced(old, longest_prompt=tokens, prompt=old.prompt * factor)
    grown = lengths.mean / old.mean
    changed = replaced(question, lengths=lengths)
    critic = question.critic_update
    together = changed.actor.sequence_parallel
    least = ceil(longest_row(changed) / together) * together
    # The micro batch stays, unless the longest row has no room in it.
    size = max(question.update.tokens, least)
    return replaced(
        changed,
        update=_filled(question.update, size, grown),
        critic_update=critic and _filled(critic, max(critic.tokens, least), grown),
        log_prob_tokens=max(question.log_prob_tokens, least) if question.log_prob_tokens else 0,
        values_tokens=max(question.values_tokens, least) if question.values_tokens else 0,
    )
