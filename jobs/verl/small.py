"""A training job made small enough to be rehearsed on a CPU: its own settings wherever they hold
there, the fewest rows and steps that touch every part."""

from collections.abc import Iterator
from dataclasses import replace

from jobs.verl import cpu, outside
from jobs.verl.algorithms import is_rl
from jobs.verl.knobs import find, number, value_of
from jobs.verl.overrides import Override, below, readable
from jobs.verl.spec import TrainSpec, Value
from jobs.verl.variants import variant_of

STEPS = 2
PROMPTS = 2  # a mini batch
ANSWERS = 4  # of a prompt
ANSWER = 16  # tokens
MICRO = 2
RANKS = 1
VALIDATED = 4  # rows
# Of the device or the engine: a rehearsal has neither.
OF_DEVICE = (
    "strategy", "dtype", "remove_padding", "sequence_parallel", "param_offload",
    "optimizer_offload", "activation_offload", "gpu_memory", "max_num_seqs", "max_batched_tokens",
    "enforce_eager", "free_cache", "reward_model", "reward_model_parallel", "reward_model_memory",
    "loggers", "max_ckpt_to_keep",
)  # fmt: skip
SAMPLES = ("data.train_max_samples", "data.val_max_samples")
ENGINE_NODES = ("engine_kwargs", "fsdp_config.wrap_policy", "quantization")
GROUPS = "algorithm.filter_groups"


def small(spec: TrainSpec) -> TrainSpec:
    """The spec of the rehearsal's runs: on one rank of the CPU, ``STEPS`` steps of few rows, then
    validation and a checkpoint. Lengths of prompts, the method and all else stay the job's own."""
    values: dict[str, Value] = {k: v for k, v in spec.values.items() if k not in OF_DEVICE}
    values |= {"device": "cpu", "gpus": RANKS, "epochs": 1, "steps": STEPS}
    values |= {"save_freq": STEPS, "test_freq": STEPS}
    values |= _small_rl(spec) if is_rl(spec.kind) else _small_supervised(spec)
    left = dropped(spec)
    kept = tuple(text for text in spec.overrides if text not in left)
    return replace(spec, values=values, overrides=kept)


def rows_of(spec: TrainSpec) -> int:
    """The rows that the runs of a small spec read: for its steps and one more after a resume."""
    return (STEPS + 1) * number(spec, "train_batch_size")


def _small_rl(spec: TrainSpec) -> dict[str, Value]:
    batch, mini = number(spec, "train_batch_size"), number(spec, "mini_batch_size")
    answers = min(number(spec, "rollout_n"), ANSWERS)
    micro = _divisor(PROMPTS * answers // RANKS, number(spec, "micro_batch_size"))
    longest = min(number(spec, "max_response_length"), ANSWER)
    found: dict[str, Value] = {
        "train_batch_size": PROMPTS * (2 if mini < batch else 1),
        "mini_batch_size": PROMPTS,
        "rollout_n": answers,
        "micro_batch_size": micro,
        "log_prob_micro_batch_size": min(number(spec, "log_prob_micro_batch_size"), MICRO),
        "max_response_length": longest,
        "engine": "hf",
        "tensor_parallel": 1,
    }
    if value_of(spec, "critic_micro_batch_size"):
        found["critic_micro_batch_size"] = micro
    if buffer := number(spec, "overlong_buffer", 0):
        found["overlong_buffer"] = min(buffer, longest)
    if number(spec, "val_n", 1) > 1:
        found["val_n"] = 2
    if find(spec.kind, "filter_groups"):
        # Random weights score alike: verl would ask for other groups without end.
        found["filter_groups"] = False
    return found


def _small_supervised(spec: TrainSpec) -> dict[str, Value]:
    batch = PROMPTS * RANKS
    micro = _divisor(batch // RANKS, number(spec, "micro_batch_size"))
    return {"train_batch_size": batch, "micro_batch_size": micro}


def _divisor(whole: int, most: int) -> int:
    """The largest divisor of ``whole`` that is neither over ``most`` nor over ``MICRO``."""
    return next(n for n in range(max(1, min(whole, most, MICRO)), 0, -1) if whole % n == 0)


def dropped(spec: TrainSpec) -> list[str]:
    """The free overrides that a rehearsal goes without."""
    return [*_of_gpu(spec), *_written(spec), *_of_groups(spec)]


def _of_gpu(spec: TrainSpec) -> list[str]:
    """Those that hold on a GPU only, or ask for fewer rows than there are anyway."""
    of_cpu = {text.partition("=")[0].lstrip("+") for text in cpu.overrides(spec)}
    return [
        override.text
        for override in _inside(spec)
        if override.key in of_cpu or override.key in SAMPLES or _of_engine(override.key)
    ]


def _of_engine(key: str) -> bool:
    return key.endswith("offload") or any(node in key for node in ENGINE_NODES)


def _inside(spec: TrainSpec) -> list[Override]:
    return [each for each in readable(spec.overrides) if not outside.is_written(each)]


def _written(spec: TrainSpec) -> list[str]:
    """Those that have the run write outside of its own directory."""
    return [each.text for each in readable(spec.overrides) if outside.is_written(each)]


def _of_groups(spec: TrainSpec) -> list[str]:
    return [each.text for each in _inside(spec) if f"{each.key}.".startswith(f"{GROUPS}.")]


def not_tried(spec: TrainSpec) -> Iterator[str]:
    """What a rehearsal of this job says nothing of, in short sentences."""
    yield "GPU memory: the model is small, and on the CPU."
    yield "NCCL and several GPUs: one process ran."
    if is_rl(spec.kind):
        yield from _not_tried_in_rl(spec)
    given = [name for name in OF_DEVICE if value_of(spec, name) not in (None, "", False)]
    if given:
        yield f"Settings of the device and of accounts: {', '.join(given)}."
    if left := _of_gpu(spec):
        yield f"Overrides that hold on a GPU only: {', '.join(left)}."
    if left := _written(spec):
        yield f"Writing elsewhere than into the run directory: {', '.join(left)}."


def _not_tried_in_rl(spec: TrainSpec) -> Iterator[str]:
    if value_of(spec, "engine") != "hf":
        yield f"{value_of(spec, 'engine')}: the answers were sampled by transformers."
    if number(spec, "max_response_length") > ANSWER:
        yield f"Long answers: they were cut at {ANSWER} tokens."
    if value_of(spec, "reward_model"):
        yield "The reward model: it is served on GPUs only."
    if drops_groups(spec):
        yield "Dropping groups without a difference: the answers of random weights score alike."


def drops_groups(spec: TrainSpec) -> bool:
    """Whether verl would sample prompts anew whose answers all score the same."""
    method = variant_of(spec.kind, value_of(spec, "variant"))
    ways = (
        below(spec.overrides, GROUPS).get("enable"),
        value_of(spec, "filter_groups"),
        method.settings.get(f"{GROUPS}.enable") if method else None,
    )
    return bool(next((way for way in ways if way is not None), False))
