"""What the estimate is asked: one training job, in the words of memory and time, not of verl.

``jobs.verl`` translates a job into it. All sizes are per GPU unless a field says otherwise; tokens
are tokens of the model.
"""

from dataclasses import dataclass
from typing import Literal

from compute.sizing.facts import ModelFacts
from compute.sizing.gpus import Gpu
from compute.sizing.hashed import HashedOnce

Strategy = Literal["fsdp", "fsdp2"]
Dtype = Literal["float32", "bfloat16", "float16", "fp8"]


@dataclass(frozen=True)
class Lora:
    """An adapter. ``modules`` are the projections that have one, such as ``q_proj``; empty means
    every linear layer but the output head (peft's ``all-linear``)."""

    rank: int
    modules: tuple[str, ...] = ()


@dataclass(frozen=True)
class Engine(HashedOnce):
    """One model as verl's FSDP engine holds it: the actor, the critic, the reference, or the model
    of SFT and DPO.

    One copy of the weights is split over ``shards`` GPUs, and there are ``replicas`` copies (hybrid
    sharding); ``sequence_parallel`` GPUs share one sequence (Ulysses). ``dtype`` is that of the
    computation, ``master`` that of the weights which the optimizer steps. ``packed`` says that
    padding tokens are removed. ``head`` is the output: logits over the vocabulary, or one value.
    ``reshards`` is whether a layer's weights are given back after its forward pass.
    """

    model: ModelFacts
    shards: int
    replicas: int = 1
    strategy: Strategy = "fsdp2"
    sequence_parallel: int = 1
    dtype: Dtype = "bfloat16"
    master: Dtype = "float32"
    checkpointing: bool = True
    packed: bool = True
    param_offload: bool = False
    optimizer_offload: bool = False
    activation_offload: bool = False
    reshards: bool = True
    lora: Lora | None = None
    head: Literal["tokens", "value"] = "tokens"

    __hash__ = HashedOnce.__hash__


@dataclass(frozen=True)
class Update:
    """One optimizer step of an engine, and how often a training step makes one.

    ``tokens`` is the largest micro batch on a GPU, in tokens before sequence parallelism divides
    them; ``mean_tokens`` is the usual one, by which time goes. ``micro_batches`` of them make one
    optimizer step. ``synced`` is whether gradients are reduced after each of them; otherwise they
    stay whole on each GPU until the last. ``pairs`` says that two answers are compared (DPO).
    ``entropy`` says that the loss has an entropy term under gradient.
    """

    tokens: int
    mean_tokens: float
    micro_batches: int = 1
    synced: bool = True
    steps: int = 1
    pairs: bool = False
    entropy: bool = False


@dataclass(frozen=True)
class Rollout:
    """What samples the answers. ``memory_share`` is of the whole card. ``colocated`` engines live
    on the cards of the actor and, with ``frees_cache``, give their memory back while it trains;
    separate ones have ``gpus`` of their own."""

    engine: Literal["vllm", "sglang", "hf"]
    tensor_parallel: int = 1
    memory_share: float = 0.5
    most_sequences: int = 1024
    most_batched_tokens: int = 8192
    eager: bool = False
    frees_cache: bool = True
    dtype: Dtype = "bfloat16"
    colocated: bool = True
    gpus: int = 0


@dataclass(frozen=True)
class Served:
    """A reward model behind the rollout's engine."""

    model: ModelFacts
    tensor_parallel: int = 1
    memory_share: float = 0.5


@dataclass(frozen=True)
class Lengths:
    """Tokens of prompts and answers (of whole rows in SFT, with no answer). ``source`` says where
    the means come from: the data's own histogram, earlier runs, or an assumption; ``told`` says so
    of earlier runs in a sentence."""

    prompt: float
    longest_prompt: int
    answer: float
    longest_answer: int
    source: Literal["data", "runs", "assumed"] = "assumed"
    told: str = ""

    @property
    def longest(self) -> int:
        """Tokens of the longest whole row: a prompt with its answer."""
        return self.longest_prompt + self.longest_answer

    @property
    def mean(self) -> float:
        """Tokens of a whole row in the mean."""
        return self.prompt + self.answer


@dataclass(frozen=True)
class Saving:
    """What a checkpoint holds, and how many are kept at once (None: all of them)."""

    contents: tuple[str, ...] = ("model", "optimizer", "extra")
    kept: int | None = None
    every: int = 0  # steps; 0 at the end only, -1 never
    steps: int | None = None  # of the whole run, where that is known


@dataclass(frozen=True)
class Question:
    """A job that trains on ``gpus`` cards of one kind, ``per_node`` in each machine.

    ``rows`` are the prompts of a step (SFT: rows; DPO: pairs) over all GPUs, ``answers`` those for
    each prompt, 1 without a rollout. ``log_prob_tokens`` is the largest micro batch of the passes
    of actor and reference without gradient, per GPU, and ``values_tokens`` that of the critic's, 0
    where it is that of the critic's update; ``host_memory`` that of one machine in bytes, where it
    is known.
    ``temperature`` is that of sampling: verl copies the logits where it is not 1.
    """

    algorithm: Literal["sft", "dpo", "ppo", "grpo", "gspo"]
    gpu: Gpu
    gpus: int
    per_node: int
    actor: Engine
    update: Update
    lengths: Lengths
    rows: int
    answers: int = 1
    reference: Engine | None = None
    critic: Engine | None = None
    critic_update: Update | None = None
    reward_model: Served | None = None
    rollout: Rollout | None = None
    log_prob_tokens: int = 0
    values_tokens: int = 0
    saving: Saving = Saving()
    host_memory: int | None = None
    temperature: float = 1.0

    @property
    def most_values_tokens(self) -> int:
        """The largest micro batch of the critic's passes without gradient; 0 without a critic."""
        update = self.critic_update
        return self.values_tokens or (update.tokens if update else 0)

    @property
    def cards(self) -> int:
        """All that the job takes: the cards that train, and those of a rollout of its own."""
        rollout = self.rollout
        return self.gpus + (rollout.gpus if rollout and not rollout.colocated else 0)
