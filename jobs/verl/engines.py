"""The engines of a job as verl lays them out: actor, critic, reference, and the rollout."""

from typing import Any

from compute.sizing.facts import ModelFacts
from compute.sizing.memory.step import WIDTH
from compute.sizing.question import Engine, Lora, Rollout
from jobs.verl.algorithms import is_rl
from jobs.verl.effective import Effective, QuestionError
from jobs.verl.keys import ACTOR, MODEL, REF, ROLLOUT
from jobs.verl.knobs import number
from jobs.verl.spec import TrainSpec

STRATEGIES = ("fsdp", "fsdp2")
ENGINES = ("vllm", "sglang", "hf")
DTYPES = {
    "bfloat16": "bfloat16", "bf16": "bfloat16", "float16": "float16", "fp16": "float16",
    "float32": "float32", "fp32": "float32", "auto": "bfloat16", "fp8": "fp8",
}  # fmt: skip


def actor_of(values: Effective, model: ModelFacts, gpus: int) -> Engine:
    """The model that is trained. Raises ``QuestionError``."""
    if not is_rl(values.kind):
        return _engine(values, model, gpus, "engine", "model", "engine.strategy")
    return _engine(values, model, gpus, f"{ACTOR}.fsdp_config", MODEL, f"{ACTOR}.strategy")


def critic_of(values: Effective, model: ModelFacts, gpus: int) -> Engine:
    """PPO's critic, all of whose weights are trained. Raises ``QuestionError``."""
    return _engine(
        values, model, gpus, "critic.fsdp", "critic.model", "critic.strategy", head="value"
    )


def reference_of(values: Effective, model: ModelFacts, gpus: int) -> Engine | None:
    """Where a KL is asked for; an adapter's own base serves as reference without a second copy.

    Raises ``QuestionError``.
    """
    wanted = values.flag(f"{ACTOR}.use_kl_loss") or values.flag("algorithm.use_kl_in_reward")
    if not wanted or values.whole(f"{MODEL}.lora_rank", 0, 1 << 20):
        return None
    strategy = f"{REF}.strategy" if values.get(f"{REF}.strategy") else f"{ACTOR}.strategy"
    # verl offloads the reference in FSDP whatever is asked, and nothing of it is trained.
    idle = {"optimizer_offload": False, "activation_offload": False, "checkpointing": False}
    place = f"{REF}.fsdp_config"
    return _engine(values, model, gpus, place, MODEL, strategy, param_offload=True, **idle)


def _engine(
    values: Effective,
    model: ModelFacts,
    gpus: int,
    fsdp: str,
    settings: str,
    strategy: str,
    **more: Any,
) -> Engine:
    shards = _shards(values, f"{fsdp}.fsdp_size", gpus)
    asked: dict[str, Any] = {
        "strategy": values.word(strategy, STRATEGIES),
        "sequence_parallel": _sequence_parallel(values, fsdp, model, gpus),
        "dtype": _dtype(values, f"{fsdp}.mixed_precision.param_dtype"),
        "master": _dtype(values, f"{fsdp}.model_dtype"),
        "checkpointing": values.flag(f"{settings}.enable_gradient_checkpointing"),
        "packed": values.flag(f"{settings}.use_remove_padding"),
        "param_offload": values.flag(f"{fsdp}.param_offload"),
        "optimizer_offload": values.flag(f"{fsdp}.optimizer_offload"),
        "activation_offload": values.flag(f"{settings}.enable_activation_offload"),
        "reshards": values.flag(f"{fsdp}.reshard_after_forward"),
        "lora": _lora(values, settings, model) if fsdp != f"{REF}.fsdp_config" else None,
    }
    return Engine(model, shards, gpus // shards, **{**asked, **more})


def _shards(values: Effective, key: str, gpus: int) -> int:
    size = values.whole(key, -1)
    if size in (-1, 0) or size >= gpus:
        return gpus
    if gpus % size:
        raise QuestionError(f"{key} is {size}, which does not divide {gpus} GPUs.", key)
    return size


def _sequence_parallel(values: Effective, fsdp: str, model: ModelFacts, gpus: int) -> int:
    """RL says it for the actor beside its FSDP settings, which are copied from there."""
    is_actor = fsdp in (f"{ACTOR}.fsdp_config", f"{REF}.fsdp_config")
    place = ACTOR if is_actor else fsdp
    key = f"{place}.ulysses_sequence_parallel_size"
    size = values.whole(key, most=1 << 16)
    if gpus % size or model.heads % size:
        raise QuestionError(
            f"Sequence parallelism of {size} does not divide {gpus} GPUs and {model.heads} "
            "attention heads.",
            values.field(key),
        )
    return size


def _dtype(values: Effective, key: str) -> Any:
    return DTYPES[values.word(key, tuple(DTYPES))]


def _lora(values: Effective, settings: str, model: ModelFacts) -> Lora | None:
    key = f"{settings}.lora_rank"
    rank = values.whole(key, 0, 1 << 20)
    if rank == 0:
        return None
    if rank > model.hidden:
        raise QuestionError(
            f"A LoRA rank of {rank} is above the model's width of {model.hidden}: that is more "
            "weights than it has.",
            values.field(key),
        )
    modules = values.words(f"{settings}.target_modules")
    return Lora(rank, () if modules == ("all-linear",) else modules)


def rollout_of(values: Effective, model: ModelFacts, gpus: int) -> Rollout:
    """What samples the answers. Raises ``QuestionError``."""
    engine = values.word(f"{ROLLOUT}.name", ENGINES)
    separate = values.get("trainer.v1.trainer_mode") == "separate_async"
    own = values.whole(f"{ROLLOUT}.nnodes", 0) * _per_node(values) if separate else 0
    return Rollout(
        engine,  # type: ignore[arg-type]  # it is one of ENGINES
        tensor_parallel=1 if engine == "hf" else _tensor_parallel(values, model, own or gpus),
        memory_share=values.share(f"{ROLLOUT}.gpu_memory_utilization"),
        most_sequences=values.whole(f"{ROLLOUT}.max_num_seqs"),
        most_batched_tokens=values.whole(f"{ROLLOUT}.max_num_batched_tokens"),
        eager=values.flag(f"{ROLLOUT}.enforce_eager"),
        frees_cache=values.flag(f"{ROLLOUT}.free_cache_engine"),
        dtype=_dtype(values, f"{ROLLOUT}.dtype"),
        colocated=not separate,
        gpus=own,
    )


def _per_node(values: Effective) -> int:
    key = f"{ROLLOUT}.n_gpus_per_node"
    return values.whole(key) if values.get(key) is not None else 8


def _tensor_parallel(values: Effective, model: ModelFacts, gpus: int) -> int:
    key = f"{ROLLOUT}.tensor_model_parallel_size"
    size = values.whole(key, most=1 << 16)
    if gpus % size or model.heads % size:
        raise QuestionError(
            f"Tensor parallelism of {size} does not divide {gpus} GPUs and {model.heads} "
            "attention heads.",
            values.field(key),
        )
    return size


def saved_a_weight(spec: TrainSpec) -> dict[str, float]:
    """Bytes of a checkpoint for each weight of a model: of ``model``, and of PPO's ``critic``.

    Weights and both moments are as wide as the optimizer has them, and each copy of hybrid sharding
    writes its own. Empty where the settings tell none.
    """
    values, gpus = Effective(spec), number(spec, "gpus")
    actor = f"{ACTOR}.fsdp_config" if is_rl(spec.kind) else "engine"
    places = {"model": actor} | ({"critic": "critic.fsdp"} if spec.kind == "ppo" else {})
    prefix = f"{ACTOR}.checkpoint" if is_rl(spec.kind) else "checkpoint"
    adapter = f"{MODEL if is_rl(spec.kind) else 'model'}.lora_rank"
    try:
        contents = values.words(f"{prefix}.save_contents")
        is_adapter = values.whole(adapter, 0, 1 << 20) > 0
        return {
            name: _saved(values, place, gpus, contents, name == "model" and is_adapter)
            for name, place in places.items()
        }
    except QuestionError:
        return {}


def _saved(
    values: Effective, place: str, gpus: int, contents: tuple[str, ...], is_adapter: bool
) -> float:
    copies = gpus // _shards(values, f"{place}.fsdp_size", gpus)
    width = WIDTH[_dtype(values, f"{place}.model_dtype")]
    shards = ("model" in contents) + (0 if is_adapter else 2 * ("optimizer" in contents))
    return float(width * (copies * shards + ("hf_model" in contents)))
