"""How verl divides the rows of a step: optimizer steps, ranks, micro batches of so many tokens."""

from math import ceil

from compute.sizing.question import Engine, Lengths, Update
from jobs.verl.algorithms import is_rl
from jobs.verl.effective import Effective, QuestionError
from jobs.verl.keys import ACTOR, REF, ROLLOUT

LOG_PROB = "log_prob_max_token_len_per_gpu"
ACTOR_MICRO = f"{ACTOR}.ppo_micro_batch_size_per_gpu"
# verl's newest trainer goes by it in the critic's update as well.
CRITIC_TOKENS = "critic.ppo_infer_max_token_len_per_gpu"


def update_of(values: Effective, lengths: Lengths, engine: Engine, gpus: int) -> Update:
    """The update of the actor, or of the model of SFT and DPO. Raises ``QuestionError``."""
    if is_rl(values.kind):
        rows, steps = _mini_batch(values)
        return _update(
            values, lengths, engine, gpus, rows, steps,
            dynamic=values.flag(f"{ACTOR}.use_dynamic_bsz"),
            tokens=f"{ACTOR}.ppo_max_token_len_per_gpu",
            micro=ACTOR_MICRO, fsdp=f"{ACTOR}.fsdp_config",
        )  # fmt: skip
    return _update(
        values, lengths, engine, gpus, values.whole("data.train_batch_size"), 1,
        dynamic=values.flag("data.use_dynamic_bsz"), tokens="data.max_token_len_per_gpu",
        micro="data.micro_batch_size_per_gpu", fsdp="engine",
    )  # fmt: skip


def critic_update_of(values: Effective, lengths: Lengths, engine: Engine, gpus: int) -> Update:
    """The update of PPO's critic. Raises ``QuestionError``."""
    rows, steps = _mini_batch(values)
    micro = "critic.fsdp.micro_batch_size_per_gpu"
    return _update(
        values, lengths, engine, gpus, rows, steps,
        dynamic=values.flag("critic.fsdp.use_dynamic_bsz"),
        tokens=CRITIC_TOKENS,
        # The actor's, unless it is set: see jobs.verl.command.
        micro=micro if values.get(micro) else ACTOR_MICRO,
        fsdp="critic.fsdp",
    )  # fmt: skip


def values_of(values: Effective, lengths: Lengths, engine: Engine) -> int:
    """The largest micro batch of the critic's passes without gradient. Raises ``QuestionError``."""
    if values.flag("critic.fsdp.use_dynamic_bsz"):
        return values.whole(CRITIC_TOKENS) * engine.sequence_parallel
    micro = "critic.fsdp.infer_micro_batch_size_per_gpu"
    return values.whole(micro if values.get(micro) else ACTOR_MICRO) * lengths.longest


def log_prob_of(values: Effective, lengths: Lengths, engine: Engine) -> int:
    """The largest micro batch of the passes without gradient: the actor's or the reference's."""
    if values.flag(f"{ACTOR}.use_dynamic_bsz"):
        usual = f"{ACTOR}.ppo_max_token_len_per_gpu"
        keys = (f"{place}.{LOG_PROB}" for place in (ROLLOUT, REF))
        found = [values.whole(key if values.get(key) else usual) for key in keys]
        return max(found) * engine.sequence_parallel
    key = "log_prob_micro_batch_size_per_gpu"
    rows = [values.whole(f"{ROLLOUT}.{key}")]
    if values.get(f"{REF}.{key}"):
        rows.append(values.whole(f"{REF}.{key}"))
    return max(rows) * lengths.longest


def _mini_batch(values: Effective) -> tuple[int, int]:
    """Answers of one optimizer step over all ranks, and how many such steps there are."""
    rows = values.whole("data.train_batch_size")
    mini = values.whole(f"{ACTOR}.ppo_mini_batch_size")
    if rows % mini:
        raise QuestionError(
            f"A mini batch of {mini} does not divide the {rows} prompts of a step.",
            "mini_batch_size",
        )
    epochs = values.whole(f"{ACTOR}.ppo_epochs")
    return mini * values.whole(f"{ROLLOUT}.n"), rows // mini * epochs


def _update(
    values: Effective,
    lengths: Lengths,
    engine: Engine,
    gpus: int,
    rows: int,
    steps: int,
    *,
    dynamic: bool,
    tokens: str,
    micro: str,
    fsdp: str,
) -> Update:
    pairs = values.kind == "dpo"
    each = 2 if pairs else 1  # a pair has two answers, each with its prompt
    share = rows * each / (gpus // engine.sequence_parallel)
    row = lengths.mean
    largest, count, mean = (
        _by_tokens(values, tokens, lengths, engine, share * row, each)
        if dynamic
        else _by_rows(values, micro, lengths, engine, share, each)
    )
    return Update(
        tokens=largest,
        mean_tokens=mean,
        micro_batches=count,
        synced=not values.flag(f"{fsdp}.use_no_sync_for_gradient_accumulation"),
        steps=steps,
        pairs=pairs,
        entropy=fsdp.startswith(ACTOR) and bool(values.get(f"{ACTOR}.entropy_coeff")),
    )


def _by_tokens(
    values: Effective, key: str, lengths: Lengths, engine: Engine, total: float, each: int
) -> tuple[int, int, float]:
    """As few micro batches as hold all tokens, evenly filled (verl's rearrange_micro_batches)."""
    limit = values.whole(key) * engine.sequence_parallel
    if limit < lengths.longest * each:
        raise QuestionError(
            f"{limit:,} tokens at once do not hold the longest row, which may have "
            f"{lengths.longest * each:,}: verl stops at it.",
            values.field(key),
        )
    count = max(1, ceil(total / limit))
    return limit, count, total / count


def _by_rows(
    values: Effective, key: str, lengths: Lengths, engine: Engine, share: float, each: int
) -> tuple[int, int, float]:
    """So many rows at once; without packing each is as long as the longest of them."""
    rows = min(values.whole(key) * each, max(1, round(share)))
    row = lengths.mean if engine.packed else lengths.longest
    count = max(1, ceil(share / rows))
    return rows * lengths.longest, count, share * row / count
