"""What a kernel takes on a card, from its own figures: the roofline with stated efficiencies.

Each function answers in seconds. The factors and their sources:

- Products: the share of the dense figure that the best shape of a search reaches, from the table of
  maximum achievable matmul FLOPS in Stas Bekman's "Machine Learning Engineering" (744d01e): A100
  0.87 (PCIe 0.81), H100 0.80, B200 0.78, B300 0.79, GB200 0.73, MI300X 0.51, MI325X 0.60, MI355X
  0.68. A usual shape reaches 0.9 of it (the mean over shapes of 4,096 and more in the measured
  tables against their best). Cards that are not in the table take 0.8 (NVIDIA), 0.55 (AMD, Huawei).
- Memory: 0.8 of the bandwidth and 3 microseconds a kernel, the empirical scaling of
  aiconfigurator-core 0.12.0 for all its cards.
- Attention: FlashAttention-2 reaches 0.62 of an A100's products forward, and 0.35 of an H100's,
  which FlashAttention-3 brings to 0.65 (Dao 2023, Shah et al. 2024: causal, heads of 128, long
  sequences). On Blackwell it is taken to run as fast as on an H100: it uses none of its new
  instructions (assumed). Cards that are not named take 0.5.
- Links: NCCL moves 0.7 of NVLink's bytes (measured tables, eight cards: 0.68 on A100, 0.74 on
  H100, 0.69 on B200) and 0.4 of PCIe's (L40S 0.61 for two cards, RTX PRO 6000 0.50 for two and 0.36
  for eight), and 0.85 of the network's (assumed).
"""

from functools import lru_cache
from math import ceil

from compute.sizing.gpus import Gpu

ACHIEVED = {
    "a100-40g": 0.87, "a100-80g": 0.87, "a800-80g": 0.87, "a100-pcie-40g": 0.81,
    "a100-pcie-80g": 0.81, "h100-80g": 0.80, "h200-141g": 0.80, "h800-80g": 0.80,
    "b200-180g": 0.78, "b300-270g": 0.79, "gb200-186g": 0.73, "gb300-278g": 0.73,
    "mi300x-192g": 0.51, "mi325x-256g": 0.60, "mi350x-288g": 0.68, "mi355x-288g": 0.68,
}  # fmt: skip
USUAL_SHAPE = 0.9
MAKERS = {"NVIDIA": 0.8, "AMD": 0.55, "Huawei": 0.55}
MEMORY = 0.8
LAUNCH = 3e-6
TILE = 64  # rows that a product's tile holds: fewer cost as many
ATTENTION = 0.5
FLASH_2 = {
    "a100-40g": 0.62, "a100-80g": 0.62, "a800-80g": 0.62, "a100-pcie-40g": 0.62,
    "a100-pcie-80g": 0.62, "h100-80g": 0.35, "h100-pcie-80g": 0.35, "h100-nvl-94g": 0.35,
    "h200-141g": 0.35, "h200-nvl-141g": 0.35, "h800-80g": 0.35, "b200-180g": 0.16,
    "b300-270g": 0.16, "gb200-186g": 0.14, "gb300-278g": 0.14,
}  # fmt: skip
ENGINE = {slug: max(share, 0.65) for slug, share in FLASH_2.items()}
NVLINK, PCIE, NETWORK = 0.7, 0.4, 0.85
PCIE_AT_MOST = 64e9
HOP = 5e-6  # seconds that each further GPU of a ring adds


@lru_cache(maxsize=4096)
def achieved(gpu: Gpu) -> float:
    """The share of ``gpu.flops`` that products of a usual shape reach."""
    return USUAL_SHAPE * ACHIEVED.get(gpu.slug, MAKERS.get(gpu.maker, 0.55))


def product(gpu: Gpu, rows: int, n: int, k: int, size: int = 2) -> float:
    """``rows`` of ``k`` elements of ``size`` bytes by a matrix of ``n`` columns."""
    padded = TILE * ceil(rows / TILE)
    computed = 2 * padded * n * k / (_flops(gpu, size) * achieved(gpu))
    return max(computed, read(gpu, rows, n, k, size)) + LAUNCH


def fastest(gpu: Gpu, rows: int, n: int, k: int, size: int = 2) -> float:
    """The least that the best of shapes would take; 0 for a card that none was searched for."""
    best = ACHIEVED.get(gpu.slug)
    return 2 * rows * n * k / (_flops(gpu, size) * best) if best else 0.0


def read(gpu: Gpu, rows: int, n: int, k: int, size: int = 2) -> float:
    """What a product takes to read its matrix and its rows and to write its result."""
    return (size * (rows * k + n * k) + 2 * rows * n) / (gpu.bandwidth * MEMORY)


def experts(gpu: Gpu, rows: int, hidden: int, width: float, per_token: int, count: int) -> float:
    """The gated MLPs that ``rows`` tokens choose, grouped: an expert's matrices are read once."""
    reached = count * (1 - (1 - per_token / count) ** rows)  # experts that any token chose
    each = max(1.0, rows * per_token / max(reached, 1e-9))
    padded = TILE * ceil(each / TILE)
    computed = 6 * padded * hidden * width / (gpu.flops * achieved(gpu))
    moved = 2 * (3 * hidden * width + each * (2 * hidden + 3 * width))
    return reached * max(computed, moved / (gpu.bandwidth * MEMORY)) + 2 * LAUNCH


def _flops(gpu: Gpu, size: int) -> float:
    return gpu.flops_fp8 if size == 1 and gpu.flops_fp8 else gpu.flops


def streamed(gpu: Gpu, size: float) -> float:
    """Element-wise kernels that read and write ``size`` bytes together."""
    return size / (gpu.bandwidth * MEMORY)


def attention(
    gpu: Gpu, rows: float, length: float, heads: int, head_dim: int, trains: bool
) -> float:
    """Causal self-attention forward over ``rows`` tokens in sequences of ``length``: by
    FlashAttention-2 in training, by what the card's engine has otherwise."""
    shares = FLASH_2 if trains else ENGINE
    flops = 2 * rows * length * heads * head_dim
    return flops / (gpu.flops * shares.get(gpu.slug, ATTENTION)) + LAUNCH


def decode(gpu: Gpu, batch: int, context: float, cache: float, size: int = 2) -> float:
    """Attention of one new token for each of ``batch`` sequences, whose caches hold ``context``
    tokens of ``cache`` elements of ``size`` bytes."""
    return batch * context * cache * size / (gpu.bandwidth * MEMORY) + LAUNCH


def bus(gpu: Gpu, ranks: int, per_node: int) -> float:
    """Bytes a second that each rank gets in a ring over ``ranks`` GPUs."""
    share = PCIE if gpu.link <= PCIE_AT_MOST else NVLINK
    inside = gpu.link * share
    if ranks <= max(per_node, 1) or ranks <= gpu.domain > per_node:
        return inside
    return min(inside, gpu.network * NETWORK * min(per_node, ranks))


def collective(gpu: Gpu, size: float, ranks: int, per_node: int) -> float:
    """All-gather or reduce-scatter of ``size`` bytes in all: each rank sends or gets all but its
    own part."""
    if ranks <= 1:
        return 0.0
    return size * (ranks - 1) / ranks / bus(gpu, ranks, per_node) + HOP * min(ranks, 64)
