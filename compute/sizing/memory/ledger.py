"""The memory of a job for each phase of its step, on one GPU.

What the engines of training hold and what the rollout holds are worked out apart: neither depends
on the settings of the other, and each phase is a sum of both.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from compute.sizing import answer
from compute.sizing.answer import CATEGORIES, Memory
from compute.sizing.memory import overhead, passes, rollout, storage, update
from compute.sizing.memory.events import highest, parts
from compute.sizing.memory.shape import shape_of
from compute.sizing.memory.step import step_of
from compute.sizing.question import Engine, Question, Update

Parts = Mapping[str, int]
NOTHING = dict.fromkeys(CATEGORIES, 0)
Peak = tuple[int, int]
"""Bytes at the highest of some phases, and how many of them are overhead."""
KEPT = 1 << 14  # phases: a search asks for one with thousands of settings of the others


@dataclass(frozen=True)
class Trained:
    """What the engines of training hold. ``phases`` are those beside which a rollout sleeps,
    without it, and ``peak`` is their highest; ``kept`` stays on the card while the rollout works,
    and ``sending`` is the phase in which it gets the weights, all zeros where there is none."""

    phases: Mapping[str, Parts]
    peak: Peak
    kept: int
    sending: Parts
    sent: Peak


@dataclass(frozen=True)
class Sampled:
    """What the rollout holds on the card: ``awake``, ``asleep``, and while it gets the weights
    (``loaded``). ``awake`` is empty where there is none; ``shares`` is whether the card is one that
    trains."""

    awake: Parts
    peak: Peak
    asleep: int
    loaded: int
    shares: bool = True

    def beside(self, trained: Trained) -> int:
        """Bytes of training on the card of the rollout while it works."""
        return trained.kept if self.shares else 0


def memory_of(question: Question) -> Memory:
    """Bytes for each phase and category, the band of the peak, host memory and disk."""
    trained, sampled = trained_of(question), sampled_of(question)
    saved, kept_at_once = storage.checkpoint(question), storage.kept(question)
    return Memory(
        phases=_phases(trained, sampled),
        band=overhead.band(*peak_of(trained, sampled)),
        host=storage.host(question),
        object_store=storage.object_store(question),
        checkpoint=saved,
        disk=None if kept_at_once is None else saved * kept_at_once,
    )


def peak_of(trained: Trained, sampled: Sampled) -> Peak:
    """The highest of all phases."""
    found = beside(trained.peak, sampled.asleep)
    return max(found, *awake_of(trained, sampled)) if sampled.awake else found


def awake_of(trained: Trained, sampled: Sampled) -> tuple[Peak, Peak]:
    """The phases in which the rollout is awake."""
    return beside(sampled.peak, sampled.beside(trained)), beside(trained.sent, sampled.loaded)


def beside(peak: Peak, others: int) -> Peak:
    return peak[0] + others, peak[1]


def _phases(trained: Trained, sampled: Sampled) -> dict[str, Parts]:
    asleep = sampled.asleep
    phases = {name: _parts_beside(parts, asleep) for name, parts in trained.phases.items()}
    if sampled.awake:
        phases[answer.ROLLOUT] = _parts_beside(sampled.awake, sampled.beside(trained))
        phases[answer.SYNC] = _parts_beside(trained.sending, sampled.loaded)
    return phases


def _parts_beside(parts: Parts, others: int) -> Parts:
    return {**parts, "others": parts["others"] + others} if others else parts


def _highest(phases: Mapping[str, Parts]) -> Peak:
    return max(_peak(parts) for parts in phases.values())


def _peak(parts: Parts) -> Peak:
    return sum(parts.values()), parts["overhead"]


def trained_of(question: Question) -> Trained:
    actor, critic = question.actor, question.critic
    of_actor, of_critic = kept(actor), kept(critic) if critic else 0
    phases = _training(question, of_actor, of_critic)
    sleeping = overhead.SLEEPING if question.rollout and question.rollout.colocated else 0
    sending = _sending(actor, of_critic + sleeping) if question.rollout else NOTHING
    working = of_actor + of_critic + overhead.training(actor)
    return Trained(phases, _highest(phases), working, sending, _peak(sending))


def sampled_of(question: Question) -> Sampled:
    sampler = question.rollout
    if sampler is None:
        return Sampled({}, (0, 0), 0, 0)
    awake = _whole(rollout.awake(question, sampler))
    asleep, loaded = rollout.asleep(question), rollout.loaded(question, sampler)
    return Sampled(awake, _peak(awake), asleep, loaded, sampler.colocated)


def _training(question: Question, of_actor: int, of_critic: int) -> dict[str, Parts]:
    actor, critic = question.actor, question.critic
    heat, asked = question.temperature, question.log_prob_tokens
    phases = {answer.UPDATE: _updates(actor, question.update, of_critic, heat)}
    if critic and question.critic_update:
        phases[answer.CRITIC] = _updates(critic, question.critic_update, of_actor, 1)
        most = question.most_values_tokens
        phases[answer.VALUES] = _pass(critic, most, heat, of_actor)
    if question.rollout:
        phases[answer.LOG_PROB] = _pass(actor, asked, heat, of_critic)
    if question.reference:
        beside = of_actor + of_critic
        phases[answer.REF] = _pass(question.reference, asked, heat, beside, is_reference=True)
    if question.reward_model:
        beside = of_actor + of_critic + overhead.training(actor)
        served = rollout.served(question, question.reward_model)
        phases[answer.REWARD] = _whole({**served, "others": beside})
    if question.saving.every >= 0:
        phases[answer.SAVE] = _save(actor, of_critic)
    return phases


@lru_cache(maxsize=KEPT)
def kept(engine: Engine) -> int:
    """What an engine leaves on the card while another one works."""
    step = step_of(engine, "one")
    weights = 0 if engine.param_offload else round(step.held)
    return weights + (0 if engine.optimizer_offload else round(2 * step.trained))


def _moments(engine: Engine) -> int:
    return round(2 * step_of(engine, "one").trained)


@lru_cache(maxsize=KEPT)
def _updates(engine: Engine, asked: Update, others: int, temperature: float) -> Parts:
    tokens = -(-asked.tokens // engine.sequence_parallel)
    gradients = update.gradients_of(asked)
    events = update.update_events(engine, gradients, temperature != 1, asked.entropy)
    found = parts(highest(events, tokens), tokens)
    return _whole({**found, "overhead": overhead.training(engine), "others": others})


@lru_cache(maxsize=KEPT)
def _pass(
    engine: Engine, asked: int, temperature: float, others: int, is_reference: bool = False
) -> Parts:
    """A pass without gradient over micro batches of ``asked`` tokens."""
    tokens = -(-asked // engine.sequence_parallel)
    events = passes.pass_events(engine, temperature != 1, is_reference)
    found = dict(parts(highest(events, tokens), tokens))
    if not is_reference and not engine.optimizer_offload:
        found["optimizer"] = _moments(engine)
    return _whole({**found, "overhead": overhead.training(engine), "others": others})


@lru_cache(maxsize=KEPT)
def _sending(engine: Engine, others: int) -> Parts:
    """Weights go to the rollout through a bucket, one whole tensor after the other."""
    return {
        **NOTHING,
        "weights": round(step_of(engine, "one").held + 4 * shape_of(engine.model).embedding),
        "optimizer": 0 if engine.optimizer_offload else _moments(engine),
        "overhead": overhead.training(engine) + overhead.BUCKET,
        "others": others,
    }


@lru_cache(maxsize=KEPT)
def _save(engine: Engine, others: int) -> Parts:
    """verl loads the weights for it and copies shard after shard to the host's memory."""
    return {
        **NOTHING,
        "weights": round(step_of(engine, "one").held),
        "optimizer": 0 if engine.optimizer_offload else _moments(engine),
        "overhead": overhead.training(engine),
        "others": others,
    }


def _whole(found: Parts) -> Parts:
    """All categories, in their order."""
    return {**NOTHING, **found}
