"""Memory that no allocation of a step shows: contexts, communication, workspaces. Bytes on a GPU.

Sizes are of H100s; where nobody publishes one it is an assumption, and says so. The band of the
estimate is wide enough for half and for one and a half of them.
"""

from compute.sizing.question import Engine

GIB = 1 << 30
CONTEXT = GIB // 2
"""A process's CUDA context with torch's kernels: assumed."""
WORKSPACES = 2 * (32 << 20)
"""cuBLAS and cuBLASLt on Hopper, 32 MiB each (pytorch pull request 120925)."""
COMMUNICATION = GIB // 2
"""NCCL's buffers for gathers and reductions: with the context 1.06e9 bytes on 8 H100 (NCCL issue
1685)."""
PEER = 3_280_000_000 // 7
"""What each peer of Ulysses' exchanges adds: 1.06e9 bytes became 4.34e9 at the first all-to-all
among 8 H100 (NCCL issue 1685)."""
SLEEPING = 2 * GIB
"""What an engine of the rollout keeps asleep: context, CUDA graphs, communication. Assumed; vLLM's
documentation of its sleep mode promises that "90 % or more" is given back."""
ROLLOUT_WORKSPACE = 2 * GIB
"""What it needs beside weights and keys and values: the same and one batch's work. Assumed."""
BUCKET = 2048 << 20
"""verl's ``rollout.checkpoint_engine.update_weights_bucket_megabytes``, unless it is set."""
FORMULA = 0.03
"""By how much the events may be too low: more than in any dense cell of ``tests.bench.tracker``."""
FRAGMENTS = 0.04
"""Room that the caching allocator holds and cannot use, with expandable segments: assumed."""


def training(engine: Engine) -> int:
    """Of one training process."""
    alone = engine.shards * engine.replicas == 1
    peers = PEER * (engine.sequence_parallel - 1)
    return CONTEXT + WORKSPACES + (0 if alone else COMMUNICATION) + peers


def band(peak: int, unseen: int) -> tuple[int, int]:
    """Where the peak lies, of which ``unseen`` is overhead."""
    low = peak - unseen // 2 - round(0.01 * (peak - unseen))
    return low, peak + unseen // 2 + round((FORMULA + FRAGMENTS) * (peak - unseen))
