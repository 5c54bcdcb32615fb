"""The settings by which a dry-fire's proposal fills a card, each with the phases it decides."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from compute.sizing import answer
from compute.sizing.memory.ledger import memory_of
from compute.sizing.memory.rollout import one_row
from compute.sizing.plan.settings import MOST_TOKENS
from compute.sizing.question import Question
from jobs.verl.batches import divisors
from jobs.verl.effective import Effective
from jobs.verl.keys import ACTOR, REF, ROLLOUT
from jobs.verl.knobs import BY_NAME, number
from jobs.verl.overrides import key_of
from jobs.verl.planned import LOG_PROB_TOKENS
from jobs.verl.portions import ACTOR_MICRO, CRITIC_TOKENS
from jobs.verl.spec import TrainSpec, Value

SHARES = tuple(round(0.05 * n, 2) for n in range(4, 19))
TOKENS = tuple(2**n for n in range(10, 17))
LOG_PROB, CRITIC = "log_prob_tokens", "critic_tokens"  # no knobs: overrides
OF_CRITIC = (answer.CRITIC, answer.VALUES)
OF_PASSES = (answer.LOG_PROB, answer.REF)
LOG_PROB_MICRO = "log_prob_micro_batch_size_per_gpu"


@dataclass(frozen=True)
class Lever:
    """A setting, and the phases whose peak it decides. The largest value that fits is taken, or
    the smallest that is ``enough`` for a question.

    verl goes by the ``read_keys``, and by the ``usual_key`` in place of one that is not set.
    ``set_keys`` are the free overrides that would beat a value. ``followers`` are levers that take
    this one's value where they have none; other phases judge them, and so they keep what they have.
    """

    name: str
    label: str
    phases: tuple[str, ...]
    values: tuple[Value, ...]
    read_keys: tuple[str, ...]
    set_keys: tuple[str, ...]
    usual_key: str = ""
    is_knob: bool = True
    enough: Callable[[Question], bool] = lambda question: False
    followers: tuple["Lever", ...] = ()

    def read(self, spec: TrainSpec) -> Value:
        """What verl goes by, whoever set it; the highest where that differs between its keys."""
        values = Effective(spec)
        usual = values.get(self.usual_key)
        return max(values.get(key) or usual for key in self.read_keys)  # type: ignore[no-any-return]

    def is_set(self, spec: TrainSpec) -> bool:
        """Whether anybody set it, as a knob or as a free override."""
        value = spec.values.get(self.name)
        return value not in (None, "") or any(
            key_of(line) in self.set_keys for line in spec.overrides
        )

    def put(self, spec: TrainSpec, value: Value) -> TrainSpec:
        changed = self._put_alone(spec, value)
        for follower in self.followers:
            kept = follower.read(spec)
            if follower.read(changed) != kept:
                changed = follower.put(changed, kept)
        return changed

    def _put_alone(self, spec: TrainSpec, value: Value) -> TrainSpec:
        kept = (line for line in spec.overrides if key_of(line) not in self.set_keys)
        bare = replace(spec, overrides=tuple(kept))
        if self.is_knob:
            return replace(bare, values={**bare.values, self.name: value})
        if self.read(bare) == value:
            return bare
        lines = (f"{key}={value}" for key in self.set_keys)
        return replace(bare, overrides=(*bare.overrides, *lines))


def levers_of(spec: TrainSpec, question: Question) -> Iterator[Lever]:
    rollout = question.rollout
    if rollout is None:
        yield _trained(spec, question, "data.use_dynamic_bsz")
        return
    if rollout.engine != "hf" and rollout.colocated:
        key = f"{ROLLOUT}.gpu_memory_utilization"
        yield _knob(spec, "gpu_memory", (answer.ROLLOUT,), SHARES, (key,), enough=_holds_all)
    dynamic = f"{ACTOR}.use_dynamic_bsz"
    passes = _passes(spec, question, dynamic)
    critic = (_critic(spec, question),) if question.critic else ()
    yield _trained(spec, question, dynamic, (passes, *critic))
    yield from critic
    yield passes


def _trained(
    spec: TrainSpec, question: Question, dynamic: str, followers: tuple[Lever, ...] = ()
) -> Lever:
    """The update of the actor, or of the model of SFT and DPO."""
    by_tokens = Effective(spec).flag(dynamic)
    name = "max_tokens_per_gpu" if by_tokens else "micro_batch_size"
    values = TOKENS if by_tokens else _rows(spec, question)
    read = (BY_NAME[name].key(spec.kind),)
    return _knob(spec, name, (answer.UPDATE,), values, read, followers=followers)


def _critic(spec: TrainSpec, question: Question) -> Lever:
    if Effective(spec).flag("critic.fsdp.use_dynamic_bsz"):
        keys = ("critic.ppo_max_token_len_per_gpu", CRITIC_TOKENS)
        label = "Tokens a GPU of the critic"
        return Lever(CRITIC, label, OF_CRITIC, TOKENS, (CRITIC_TOKENS,), keys, is_knob=False)
    read = ("critic.fsdp.micro_batch_size_per_gpu", "critic.fsdp.infer_micro_batch_size_per_gpu")
    rows = _rows(spec, question)
    return _knob(spec, "critic_micro_batch_size", OF_CRITIC, rows, read, ACTOR_MICRO)


def _passes(spec: TrainSpec, question: Question, dynamic: str) -> Lever:
    if Effective(spec).flag(dynamic):
        usual, label = f"{ACTOR}.ppo_max_token_len_per_gpu", "Tokens a GPU without gradients"
        keys = LOG_PROB_TOKENS
        return Lever(LOG_PROB, label, OF_PASSES, TOKENS, keys, keys, usual, is_knob=False)
    keys = (f"{ROLLOUT}.{LOG_PROB_MICRO}", f"{REF}.{LOG_PROB_MICRO}")
    rows = _rows(spec, question)
    return _knob(spec, "log_prob_micro_batch_size", OF_PASSES, rows, keys, keys[0])


def _knob(
    spec: TrainSpec,
    name: str,
    phases: tuple[str, ...],
    values: tuple[Value, ...],
    read_keys: tuple[str, ...],
    usual_key: str = "",
    *,
    enough: Callable[[Question], bool] = lambda question: False,
    followers: tuple[Lever, ...] = (),
) -> Lever:
    knob = BY_NAME[name]
    return Lever(
        name, knob.label, phases, values, read_keys, knob.keys[spec.kind], usual_key,
        enough=enough, followers=followers,
    )  # fmt: skip


def _rows(spec: TrainSpec, question: Question) -> tuple[int, ...]:
    """Rows of a micro batch that divide those of a GPU, in as many tokens as keep it busy."""
    ranks = max(1, number(spec, "gpus") // question.actor.sequence_parallel)
    answers = number(spec, "mini_batch_size") * question.answers if question.rollout else 0
    whole = (answers or question.rows) // ranks
    row = question.lengths.longest
    row *= 2 if question.update.pairs else 1
    sizes = divisors(max(1, whole))
    return tuple(size for size in sizes if size == 1 or size * row <= MOST_TOKENS)


def _holds_all(question: Question) -> bool:
    """Whether the rollout's cache holds all answers of its cards at once: more gains nothing."""
    rollout = question.rollout
    if rollout is None:
        return True
    together = question.rows * question.answers / question.gpus * rollout.tensor_parallel
    needed = min(together, rollout.most_sequences) * one_row(question, rollout)
    return memory_of(question).phases[answer.ROLLOUT]["kv_cache"] >= needed
