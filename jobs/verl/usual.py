"""The usual values of every knob that is a number, with the reason: outside of them a form warns.

They are wide: between them lies what published runs and verl 0.9.1's own examples take, and what
the small sample models need. A recipe narrows some of them (``[ranges]`` in its file).
"""

from collections.abc import Iterator, Mapping

from jobs.verl.algorithms import RL, is_rl
from jobs.verl.knobs import BY_NAME, knobs_of
from jobs.verl.spec import TrainSpec
from jobs.warning import FieldWarning, Range

_MEMORY = "A GPU seldom has the memory for more at once."
_PARALLEL = "More would leave one machine, where each layer waits for the network."
_SAMPLING = "Answers far from what the model itself would say teach it little (verl takes 1)."
_LENGTH = "Few models read more, and hardly a row is shorter."

USUAL: Mapping[str, Range] = {
    "train_batch_size": Range(4, 8192, "verl's examples take 32 to 1024 rows a step."),
    "max_length": Range(16, 131072, _LENGTH),
    "max_prompt_length": Range(8, 131072, _LENGTH),
    "max_response_length": Range(4, 131072, "Few models write more, and hardly an answer is less."),
    "lora_rank": Range(0, 256, "Above it an adapter costs nearly as much as the weights."),
    "lora_alpha": Range(1, 1024, "It is usually 1 to 2 x the rank."),
    "lr": Range(1e-7, 5e-3, "At 0 nothing is learnt; above it training diverges."),
    "warmup_ratio": Range(0, 0.3, "The rate reaches its peak only after this share of the run."),
    "min_lr_ratio": Range(0, 0.5, "Above it the cosine hardly lowers the rate."),
    "weight_decay": Range(0, 0.3, "verl takes 0.01; much more wears the weights away."),
    "clip_grad": Range(0.01, 100, "verl takes 1; at 0 no gradient is left, so nothing is learnt."),
    "mini_batch_size": Range(2, 8192, "A single prompt is a very noisy step."),
    "ppo_epochs": Range(1, 10, "After more the answers are no longer the policy's own."),
    "micro_batch_size": Range(1, 512, _MEMORY),
    "log_prob_micro_batch_size": Range(1, 1024, _MEMORY),
    "critic_micro_batch_size": Range(1, 512, _MEMORY),
    "max_tokens_per_gpu": Range(64, 524288, _MEMORY),
    "sequence_parallel": Range(1, 8, _PARALLEL),
    "tensor_parallel": Range(1, 8, _PARALLEL),
    "reward_model_parallel": Range(1, 8, _PARALLEL),
    "beta": Range(0.01, 2, "DPO's paper takes 0.1 to 0.5 (arXiv:2305.18290)."),
    "label_smoothing": Range(0, 0.3, "Near 0.5 a label says nothing any more."),
    "epochs": Range(1, 100, "More passes mostly learn the rows by heart."),
    "steps": Range(1, 1_000_000, "No published run takes so many."),
    "save_freq": Range(-1, 10_000, "What is lost when a run ends early is the time since."),
    "test_freq": Range(-1, 10_000, "Until then nothing says whether the run learns."),
    "max_ckpt_to_keep": Range(1, 50, "Each is several times as large as the model."),
    "clip_ratio": Range(0.05, 0.5, "PPO's paper takes 0.1 to 0.3 (arXiv:1707.06347)."),
    "clip_ratio_low": Range(0.05, 10, "DAPO takes 0.2, CISPO 10, which never applies."),
    "clip_ratio_high": Range(0.05, 1, "DAPO takes 0.28 (arXiv:2503.14476)."),
    "clip_ratio_c": Range(1.5, 20, "verl takes 3, DAPO 10."),
    "gamma": Range(0.9, 1, "With less a reward at the end does not reach the first tokens."),
    "lam": Range(0.8, 1, "GAE's paper takes 0.9 to 1 (arXiv:1506.02438)."),
    "entropy_coeff": Range(0, 0.05, "With more the answers become noise."),
    "kl_loss_coef": Range(0, 0.1, "DeepSeekMath takes 0.04, verl 0.001; more lets nothing move."),
    "kl_coef": Range(0, 0.2, "verl takes 0.001; more lets nothing move."),
    "target_kl": Range(0.001, 10, "verl takes 0.1."),
    "rollout_n": Range(1, 128, "Published runs take 4 to 64; more cost time in proportion."),
    "temperature": Range(0.3, 1.5, _SAMPLING),
    "top_p": Range(0.5, 1, _SAMPLING),
    "top_k": Range(-1, 300_000, "No vocabulary is so large."),
    "gpu_memory": Range(0.2, 0.9, "With less the KV cache is tiny, with more training runs out."),
    "reward_model_memory": Range(0.1, 0.9, "With less it has no KV cache, with more none is left."),
    "max_num_seqs": Range(4, 4096, "verl takes 256; fewer leave the GPU idle."),
    "max_batched_tokens": Range(256, 524288, "verl takes 8192; fewer leave the GPU idle."),
    "val_n": Range(1, 64, "Validation then takes longer than training."),
    "val_temperature": Range(0, 1.5, "The score then says little of the model's usual answers."),
    "val_top_p": Range(0.5, 1, "The score then says little of the model's usual answers."),
    "critic_lr": Range(1e-7, 5e-3, "At 0 the critic learns nothing; above it, it diverges."),
    "critic_warmup": Range(0, 200, "So long the actor learns nothing."),
    "cliprange_value": Range(0.05, 10, "verl takes 0.5."),
    "most_lost": Range(0, 0.9, "At 1 the run goes on although no answer is left to learn from."),
    "overlong_buffer": Range(1, 16384, "DAPO takes 4096 of 20480 tokens."),
    "overlong_penalty": Range(0, 10, "DAPO takes 1, as much as a right answer is worth."),
}  # fmt: skip
# Of these any number is as good as another, or the machine itself sets the bound.
ANY: Mapping[str, str] = {
    "seed": "It only names an order.",
    "gpus": "The form refuses what the machine does not have.",
}
# Where one algorithm differs from the rest.
_OF_KIND: Mapping[tuple[str, str], Range] = {
    **{(kind, "lr"): Range(1e-8, 1e-3, "At 0 nothing is learnt; RL collapses above it.")
       for kind in RL},
    ("dpo", "lr"): Range(1e-8, 1e-3, "At 0 nothing is learnt; DPO breaks above it."),
    ("gspo", "clip_ratio"): Range(1e-5, 0.01, "GSPO's paper takes 3e-4 and 4e-4: sequence ratios."),
    ("gspo", "clip_ratio_low"): Range(1e-5, 0.01, "GSPO's paper takes 3e-4: sequence ratios."),
    ("gspo", "clip_ratio_high"): Range(1e-5, 0.01, "GSPO's paper takes 4e-4: sequence ratios."),
}  # fmt: skip


def usual_of(name: str, kind: str) -> Range | None:
    """The usual values of a knob for a kind of run; None for one of which any value is usual."""
    return _OF_KIND.get((kind, name)) or USUAL.get(name)


def unusual(spec: TrainSpec, ranges: Mapping[str, Range]) -> Iterator[FieldWarning]:
    """The knobs whose values lie outside the usual ones. ``ranges`` are the recipe's own."""
    for knob in knobs_of(spec.kind):
        value = spec.values.get(knob.name)
        usual = ranges.get(knob.name) or usual_of(knob.name, spec.kind)
        if usual and isinstance(value, int | float) and value not in usual:
            yield FieldWarning(knob.name, usual.warning(value), knob.label)
    if is_rl(spec.kind) and spec.values.get("top_k") == 1:
        told = "Only the likeliest token is left: all answers of a prompt are alike."
        yield FieldWarning("top_k", told, BY_NAME["top_k"].label)
