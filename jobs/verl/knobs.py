"""Every everyday setting, declared once: its name, its meaning and its Hydra key.

A knob's key depends on the kind of run. A kind that has no key for it does not show the knob.
``COMMAND`` marks a knob that shapes the command itself (see ``jobs.verl.command``).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from jobs.verl.spec import TrainSpec, Value

COMMAND = "(command)"
LARGEST = 2**31 - 1  # whole numbers above it fit neither verl nor the database
ACTOR = "actor_rollout_ref.actor"
ROLLOUT = "actor_rollout_ref.rollout"
REF = "actor_rollout_ref.ref"


@dataclass(frozen=True)
class Knob:
    name: str
    label: str
    group: str
    type: type
    help: str
    keys: Mapping[str, tuple[str, ...]]
    unit: str = ""
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    required: bool = False

    def key(self, kind: str) -> str:
        """The Hydra key shown for a kind; a knob that sets several shows the first."""
        return self.keys[kind][0]


def both(sft: str, *grpo: str) -> dict[str, tuple[str, ...]]:
    return {"sft": (sft,), "grpo": grpo or (sft,)}


def sft(*keys: str) -> dict[str, tuple[str, ...]]:
    return {"sft": keys}


def grpo(*keys: str) -> dict[str, tuple[str, ...]]:
    return {"grpo": keys}


KNOBS: tuple[Knob, ...] = (
    # Data
    Knob("train_files", "Training data", "Data", str, "Parquet file with the rows to train on.",
         both("data.train_files"), required=True),
    Knob("val_files", "Validation data", "Data", str,
         "Parquet file that is never trained on. Never left to verl's default.",
         both("data.val_files"), required=True),
    Knob("train_batch_size", "Batch size", "Data", int,
         "Rows a step, over all GPUs. In RL: prompts a step.",
         both("data.train_batch_size"), "rows", 1, required=True),
    Knob("max_length", "Longest row", "Data", int, "Prompt and answer together.",
         sft("data.max_length"), "tokens", 1, required=True),
    Knob("max_prompt_length", "Longest prompt", "Data", int, "Longer prompts are an error.",
         grpo("data.max_prompt_length"), "tokens", 1, required=True),
    Knob("max_response_length", "Longest answer", "Data", int,
         "Sampling stops here; a cut answer usually scores zero.",
         grpo("data.max_response_length"), "tokens", 1, required=True),
    Knob("truncation", "Rows that are too long", "Data", str,
         "Stop with an error, or cut them on one side.",
         both("data.truncation"), choices=("error", "left", "right")),
    Knob("filter_overlong", "Drop long prompts", "Data", bool,
         "Leave out prompts over the limit before training starts.",
         grpo("data.filter_overlong_prompts")),
    # Model
    Knob("model_path", "Model", "Model", str,
         "Folder in Hugging Face format, or the name of a model in this machine's cache.",
         both("model.path", "actor_rollout_ref.model.path"), required=True),
    Knob("lora_rank", "LoRA rank", "Model", int, "0 trains all weights.",
         both("model.lora_rank", "actor_rollout_ref.model.lora_rank"), "", 0, 1024),
    Knob("lora_alpha", "LoRA alpha", "Model", int, "Scale of the adapter, usually 1 to 2 x rank.",
         both("model.lora_alpha", "actor_rollout_ref.model.lora_alpha"), "", 1),
    Knob("target_modules", "LoRA modules", "Model", str,
         "all-linear, or a list such as [q_proj,v_proj].",
         both("model.target_modules", "actor_rollout_ref.model.target_modules")),
    Knob("gradient_checkpointing", "Gradient checkpointing", "Model", bool,
         "Compute activations twice to keep fewer of them in memory.",
         both("model.enable_gradient_checkpointing",
              "actor_rollout_ref.model.enable_gradient_checkpointing")),
    # Optimiser
    Knob("lr", "Learning rate", "Optimiser", float, "Peak value, after warm-up.",
         both("optim.lr", f"{ACTOR}.optim.lr"), "", 0, 1, required=True),
    Knob("warmup_ratio", "Warm-up", "Optimiser", float, "Share of all steps.",
         both("optim.lr_warmup_steps_ratio", f"{ACTOR}.optim.lr_warmup_steps_ratio"), "", 0, 1),
    Knob("weight_decay", "Weight decay", "Optimiser", float, "Pull towards zero at each step.",
         both("optim.weight_decay", f"{ACTOR}.optim.weight_decay"), "", 0, 10),
    Knob("clip_grad", "Gradient clipping", "Optimiser", float, "Largest gradient norm.",
         both("optim.clip_grad", f"{ACTOR}.grad_clip"), "", 0),
    Knob("micro_batch_size", "Micro batch", "Optimiser", int,
         "Rows a GPU at once: lower it when memory runs out.",
         both("data.micro_batch_size_per_gpu", f"{ACTOR}.ppo_micro_batch_size_per_gpu"),
         "rows", 1, required=True),
    Knob("mini_batch_size", "Mini batch", "Optimiser", int,
         "Prompts an optimiser step; divides the batch size.",
         grpo(f"{ACTOR}.ppo_mini_batch_size"), "prompts", 1, required=True),
    # Rollout
    Knob("rollout_n", "Answers a prompt", "Rollout", int,
         "Group size: GRPO compares the answers of one prompt with each other.",
         grpo(f"{ROLLOUT}.n"), "", 2, 1024, required=True),
    Knob("temperature", "Temperature", "Rollout", float, "Of sampling while training.",
         grpo(f"{ROLLOUT}.temperature"), "", 1e-6, 10),
    Knob("top_p", "Top-p", "Rollout", float, "1 samples from all tokens.",
         grpo(f"{ROLLOUT}.top_p"), "", 1e-6, 1),
    Knob("top_k", "Top-k", "Rollout", int, "-1 samples from all tokens.",
         grpo(f"{ROLLOUT}.top_k"), "", -1),
    Knob("engine", "Engine", "Rollout", str, "What samples the answers. hf is for the CPU.",
         grpo(f"{ROLLOUT}.name"), choices=("vllm", "sglang", "hf"), required=True),
    Knob("tensor_parallel", "Tensor parallelism", "Rollout", int, "GPUs that share one copy.",
         grpo(f"{ROLLOUT}.tensor_model_parallel_size"), "GPUs", 1),
    Knob("gpu_memory", "Memory share", "Rollout", float,
         "Of a GPU's memory, for the rollout's weights and KV cache.",
         grpo(f"{ROLLOUT}.gpu_memory_utilization"), "", 0.05, 0.95),
    Knob("log_prob_micro_batch_size", "Log-prob micro batch", "Rollout", int,
         "Answers a GPU at once when log-probabilities are computed.",
         grpo(f"{ROLLOUT}.log_prob_micro_batch_size_per_gpu",
              f"{REF}.log_prob_micro_batch_size_per_gpu"), "rows", 1, required=True),
    # Algorithm
    Knob("use_kl_loss", "KL in the loss", "Algorithm", bool,
         "Keep the policy near the reference model.", grpo(f"{ACTOR}.use_kl_loss")),
    Knob("kl_loss_coef", "KL coefficient", "Algorithm", float, "Weight of the KL loss.",
         grpo(f"{ACTOR}.kl_loss_coef"), "", 0),
    Knob("kl_loss_type", "KL estimator", "Algorithm", str, "low_var_kl is the k3 estimator.",
         grpo(f"{ACTOR}.kl_loss_type"), choices=("low_var_kl", "kl", "abs", "mse")),
    Knob("clip_ratio", "Clip ratio", "Algorithm", float,
         "How far the probability ratio may leave 1.",
         grpo(f"{ACTOR}.clip_ratio", f"{ACTOR}.clip_ratio_low", f"{ACTOR}.clip_ratio_high"),
         "", 0, 1),
    Knob("entropy_coeff", "Entropy bonus", "Algorithm", float, "0 switches it off.",
         grpo(f"{ACTOR}.entropy_coeff"), "", 0),
    Knob("norm_adv_by_std", "Divide by the group's deviation", "Algorithm", bool,
         "GRPO's own normalisation; off is Dr.GRPO's.",
         grpo("algorithm.norm_adv_by_std_in_grpo")),
    Knob("reward_file", "Reward function", "Algorithm", str,
         "Python file; empty uses verl's scorer for the rows' data_source.",
         grpo("reward.custom_reward_function.path")),
    Knob("reward_name", "Name of the function", "Algorithm", str, "In that file.",
         grpo("reward.custom_reward_function.name")),
    # Run
    Knob("epochs", "Epochs", "Run", int, "Times over the training data.",
         both("trainer.total_epochs"), "", 1, required=True),
    Knob("steps", "Steps", "Run", int, "Stop after this many; empty goes by epochs.",
         both("trainer.total_training_steps"), "steps", 1),
    Knob("save_freq", "Save every", "Run", int, "-1 saves at the end only (SFT) or never (RL).",
         both("trainer.save_freq"), "steps", -1),
    Knob("test_freq", "Validate every", "Run", int, "-1 validates at the end only.",
         both("trainer.test_freq"), "steps", -1),
    Knob("max_ckpt_to_keep", "Checkpoints to keep", "Run", int, "Older ones are removed.",
         both("trainer.max_ckpt_to_keep", "trainer.max_actor_ckpt_to_keep"), "", 1),
    Knob("val_before_train", "Validate first", "Run", bool, "A score to compare with.",
         grpo("trainer.val_before_train")),
    Knob("seed", "Seed", "Run", int, "Of the order of the rows.",
         both("trainer.seed", "data.seed"), "", 0),
    Knob("device", "Device", "Run", str, "cpu trains without a GPU, for small models.",
         both(COMMAND, COMMAND), choices=("cuda", "cpu"), required=True),
    Knob("gpus", "Devices", "Run", int, "GPUs, or processes on the CPU.",
         both("trainer.n_gpus_per_node"), "", 1, 64, required=True),
)  # fmt: skip

BY_NAME: Mapping[str, Knob] = {knob.name: knob for knob in KNOBS}


def knobs_of(kind: str) -> Iterator[Knob]:
    """The knobs that a kind of run has, in the order of the form."""
    return (knob for knob in KNOBS if kind in knob.keys)


def find(kind: str, name_or_key: str) -> Knob | None:
    """The knob with this name or this Hydra key, or None if there is none for the kind."""
    for knob in knobs_of(kind):
        if name_or_key == knob.name or name_or_key in knob.keys[kind]:
            return knob
    return None


def value_of(spec: TrainSpec, name: str) -> Value | None:
    return spec.values.get(name)


def number(spec: TrainSpec, name: str, default: int = 1) -> int:
    """A whole-number knob's value, or ``default`` when it is unset."""
    value = spec.values.get(name)
    return default if value is None else int(value)
