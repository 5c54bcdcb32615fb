"""Find settings that contradict each other, the device or the release, before anything runs."""

from collections.abc import Callable, Iterator

from jobs.verl.algorithms import is_rl
from jobs.verl.command import NEWER
from jobs.verl.knobs import COMMAND, knobs_of, number, value_of
from jobs.verl.overrides import below, readable, write_value
from jobs.verl.releases import refusal, translate
from jobs.verl.spec import LATEST, Problem, TrainSpec
from jobs.verl.unread import runs_former_trainer
from jobs.verl.variants import KL_LOSS, KL_REWARD, variant_of

THINKING = "data.enable_thinking_default"
THINKING_KWARGS = "data.apply_chat_template_kwargs"
Check = Callable[[TrainSpec], Iterator[Problem]]


def check_contradictions(spec: TrainSpec) -> Iterator[Problem]:
    """All checks that need the spec only."""
    checks: tuple[Check, ...] = (
        _check_release, _check_device, _check_engine, _check_group, _check_discount, _check_kl,
        _check_packing, _check_lora, _check_reward, _check_preference, _check_thinking,
    )  # fmt: skip
    for check in checks:
        yield from check(spec)


def _check_release(spec: TrainSpec) -> Iterator[Problem]:
    """A kind, device, knob or method that this release of verl lacks."""
    reason = refusal(spec.kind, spec.verl, str(value_of(spec, "device")))
    if reason:
        yield Problem("machine", reason)
        return
    if spec.verl != LATEST:
        yield from _missing(spec)


def _missing(spec: TrainSpec) -> Iterator[Problem]:
    for field, keys in _fields_keys(spec):
        for key in keys:
            found = translate(key, spec.kind, spec.verl)
            if found.key is None and key not in NEWER:
                yield Problem(field, found.reason)


def _fields_keys(spec: TrainSpec) -> Iterator[tuple[str, tuple[str, ...]]]:
    variant = variant_of(spec.kind, value_of(spec, "variant"))
    yield "variant" if spec.kind == "grpo" else "", tuple(variant.settings) if variant else ()
    for knob in knobs_of(spec.kind):
        if value_of(spec, knob.name) is not None:
            yield knob.name, tuple(key for key in knob.keys[spec.kind] if key != COMMAND)


def _check_device(spec: TrainSpec) -> Iterator[Problem]:
    """The CPU shards with fsdp2 and computes in fp32; FlashAttention's packing needs a GPU."""
    if value_of(spec, "device") != "cpu":
        return
    for field, wrong, message in (
        ("strategy", "fsdp", "The CPU shards with fsdp2 only."),
        ("dtype", "bfloat16", "The CPU computes in float32 only."),
        ("dtype", "float16", "The CPU computes in float32 only."),
        ("remove_padding", True, "Packing sequences needs FlashAttention, which needs a GPU."),
    ):
        if value_of(spec, field) == wrong:
            yield Problem(field, message)
    if number(spec, "sequence_parallel") > 1:
        yield Problem("sequence_parallel", "Sequence parallelism needs GPUs: set it to 1.")
    if value_of(spec, "reward_model"):
        yield Problem("reward_model", "A reward model is served by vllm or sglang: on a GPU only.")


def _check_engine(spec: TrainSpec) -> Iterator[Problem]:
    """The rollout engine must suit the device."""
    if not is_rl(spec.kind):
        return
    on_cpu, engine = value_of(spec, "device") == "cpu", value_of(spec, "engine")
    if on_cpu and engine != "hf":
        yield Problem("engine", f"{engine} needs a GPU; on the CPU the engine is hf.")
    if not on_cpu and engine == "hf":
        yield Problem("engine", "hf samples on the CPU only; take vllm or sglang on a GPU.")
    if engine == "hf" and number(spec, "tensor_parallel") != 1:
        yield Problem("tensor_parallel", "hf keeps a whole copy on each device: set it to 1.")
    if engine != "vllm" and value_of(spec, "max_batched_tokens") is not None:
        message = f"Only vllm reads it: leave it empty with {engine}."
        yield Problem("max_batched_tokens", message)


def _check_group(spec: TrainSpec) -> Iterator[Problem]:
    """Methods that compare the answers to one prompt need at least two of them."""
    variant = variant_of(spec.kind, value_of(spec, "variant"))
    if variant and variant.grouped and number(spec, "rollout_n") < 2:
        message = f"{variant.label} compares the answers of a prompt with each other"
        yield Problem("rollout_n", f"{message}: with one answer nothing is learnt. Set 2 or more.")
    if number(spec, "val_n", 1) > 1 and not value_of(spec, "val_temperature"):
        message = "At temperature 0 all answers to a prompt are the same: set the temperature too."
        yield Problem("val_n", message)
    filters = value_of(spec, "filter_groups")
    if filters and value_of(spec, "reward_model"):
        message = "verl filters groups before a reward model has scored them: use one or the other."
        yield Problem("filter_groups", message)
    if variant and variant.name == "remax" and filters:
        yield Problem("filter_groups", "ReMax runs on verl's former trainer, which filters none.")


def _check_discount(spec: TrainSpec) -> Iterator[Problem]:
    """Of GRPO's methods only REINFORCE++ adds up later rewards."""
    variant = variant_of(spec.kind, value_of(spec, "variant"))
    discounts = variant and variant.name == "reinforce_plus_plus"
    if spec.kind == "grpo" and value_of(spec, "gamma") is not None and not discounts:
        yield Problem("gamma", "Only REINFORCE++ reads a discount: leave it empty.")


def _check_kl(spec: TrainSpec) -> Iterator[Problem]:
    """The KL must count once: in the loss or in the reward."""
    variant = variant_of(spec.kind, value_of(spec, "variant"))
    given = variant.settings if variant else {}
    in_loss = _either(value_of(spec, "use_kl_loss"), given.get(KL_LOSS))
    in_reward = _either(value_of(spec, "use_kl_in_reward"), given.get(KL_REWARD))
    if in_loss and in_reward:
        field = "use_kl_loss" if value_of(spec, "use_kl_loss") else "use_kl_in_reward"
        yield Problem(field, "The KL is asked for twice, in the loss and in the reward: keep one.")
    if value_of(spec, "kl_ctrl") == "adaptive" and not in_reward:
        yield Problem("kl_ctrl", "The controller steers the KL in the reward, which is off.")


def _either(asked: object, given: object) -> bool:
    return bool(given if asked is None else asked)


def _check_packing(spec: TrainSpec) -> Iterator[Problem]:
    if number(spec, "sequence_parallel") > 1 and value_of(spec, "remove_padding") is False:
        yield Problem("remove_padding", "Sequence parallelism works on packed sequences only.")
    if not value_of(spec, "dynamic_batch"):
        return
    room, longest = number(spec, "max_tokens_per_gpu", 0), _longest(spec)
    if not room:
        yield Problem("max_tokens_per_gpu", "Filling by tokens needs their number.")
    elif room * number(spec, "sequence_parallel") < longest:
        message = f"A single row may take {longest} tokens: set {longest} or more."
        yield Problem("max_tokens_per_gpu", message)


def _longest(spec: TrainSpec) -> int:
    if is_rl(spec.kind):
        return number(spec, "max_prompt_length") + number(spec, "max_response_length")
    return number(spec, "max_length") * (2 if spec.kind == "dpo" else 1)  # a pair stays whole


def _check_lora(spec: TrainSpec) -> Iterator[Problem]:
    rank = number(spec, "lora_rank", 0)
    for field in ("lora_alpha", "target_modules"):
        if value_of(spec, field) not in (None, "") and not rank:
            yield Problem(field, "This counts with LoRA only: set a LoRA rank, or leave it empty.")
    if value_of(spec, "reference") == "lora_base" and not rank:
        yield Problem("reference", "Without LoRA there is no base to switch to: take precomputed.")


def _check_reward(spec: TrainSpec) -> Iterator[Problem]:
    buffer, longest = number(spec, "overlong_buffer", 0), number(spec, "max_response_length")
    if buffer > longest:
        yield Problem("overlong_buffer", f"The answer itself may take {longest} tokens at most.")
    if value_of(spec, "overlong_penalty") is not None and not buffer:
        yield Problem("overlong_penalty", "Say first where the penalty begins.")
    if buffer and value_of(spec, "reward_model") and not value_of(spec, "reward_file"):
        message = "A reward model scores past the manager that takes the penalty: leave one out."
        yield Problem("overlong_buffer", message)
    if buffer and value_of(spec, "reward_manager") == "naive":
        yield Problem("reward_manager", "The naive manager knows no penalty for long answers.")
    if value_of(spec, "most_lost") is not None and runs_former_trainer(spec):
        message = "Only the trainer of verl 0.9.1 drops answers, and not with ReMax."
        yield Problem("most_lost", message)


def _check_preference(spec: TrainSpec) -> Iterator[Problem]:
    """Settings that a preference loss cannot use."""
    smoothing = float(value_of(spec, "label_smoothing") or 0)
    if smoothing and value_of(spec, "dpo_loss") in ("ipo", "hinge"):
        loss = value_of(spec, "dpo_loss")
        yield Problem("label_smoothing", f"{loss} takes no smoothing: sigmoid and robust do.")
    if value_of(spec, "length_normalize") and value_of(spec, "dpo_loss") == "ipo":
        yield Problem("length_normalize", "IPO divides by the length already.")


def _check_thinking(spec: TrainSpec) -> Iterator[Problem]:
    """verl's SFT renders each row with its own default, which comes after the template's values."""
    asked = below(spec.overrides, THINKING_KWARGS).get("enable_thinking")
    given = {override.key: override.value for override in readable(spec.overrides)}
    if spec.kind == "sft" and asked is not None and given.get(THINKING, asked) is not None:
        message = f"{THINKING_KWARGS}.enable_thinking: {THINKING} comes after it. Write {THINKING}"
        yield Problem("overrides", f"{message}={write_value(asked)} in its place.")
