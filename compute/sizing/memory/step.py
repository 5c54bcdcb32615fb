"""The sizes that the events of one optimizer step, or of one pass, are made of."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from compute.sizing.memory.layers import Work, work_of
from compute.sizing.memory.shape import Shape, shape_of
from compute.sizing.question import Engine

WIDTH = {"float32": 4, "bfloat16": 2, "float16": 2, "fp8": 1}
REDUCED = 4  # verl reduces gradients in fp32, whatever the weights are
Gradients = Literal["one", "synced", "waiting", "waiting two"]
"""How an optimizer step's gradients come together: from one micro batch; from several, reduced
after each; or kept whole on each GPU until the last one, of two micro batches or of more."""


@dataclass(frozen=True)
class Step:
    """Bytes unless it is said otherwise. ``held`` are this GPU's shards of the weights,
    ``trained`` of those that have gradients; ``layer``, ``embedding`` and ``head`` one whole unit
    in the dtype of the computation; ``whole`` turns their bytes into those of fp32 gradients."""

    shape: Shape
    work: Work
    shards: int
    held: float
    trained: float
    layer: float
    embedding: float
    head: float
    norm: float
    vocab: float
    layers: int
    tied: bool
    gradients: Gradients
    adapters: float = 0  # of one layer, in the dtype of the computation
    scaled: bool = False  # the logits are divided by a temperature, into a copy
    entropy: bool = False  # the loss has an entropy term, with a gradient of its own

    @property
    def doubled(self) -> int:
        """Copies of a layer that is gathered: the buffer, and what is copied out of it."""
        return 1 if self.shards == 1 else 2

    @property
    def in_root(self) -> int:
        """Elements outside of the layers; a value head is a row of the width and a bias."""
        inside = self.shape.embedding + self.shape.hidden
        return inside + (self.shape.head if self.vocab else self.shape.hidden + 1)

    @property
    def whole(self) -> float:
        return REDUCED / self.work.width

    @property
    def learns(self) -> bool:
        """Whether all weights do, and not only adapters."""
        return not self.adapters


def _padding(shape: Shape, engine: Engine) -> int:
    """FSDP2 splits a tensor by its first dimension, which for experts is their number: on more GPUs
    than experts, or uneven ones, it fills up with empty experts. Elements in a layer."""
    if engine.strategy == "fsdp" or not shape.experts:
        return 0
    added = -shape.experts % engine.shards
    return added * 3 * shape.hidden * shape.intermediate


@lru_cache(maxsize=8192)
def step_of(
    engine: Engine, gradients: Gradients, scaled: bool = False, entropy: bool = False
) -> Step:
    shape = shape_of(engine.model)
    work = work_of(engine)
    width, master = work.width, WIDTH[engine.master]
    is_value = engine.head == "value"
    head = 0 if is_value else shape.head
    total = shape.total - shape.head + (shape.hidden + 1 if is_value else shape.head)
    padding = _padding(shape, engine)
    total += shape.mixed * padding
    adapters = work.adapters
    added = shape.layers * adapters
    return Step(
        shape=shape, work=work, shards=engine.shards,
        held=master * (total + added) / engine.shards,
        trained=master * (added or total) / engine.shards,
        layer=width * (shape.layer + padding + adapters), embedding=width * shape.embedding,
        head=width * head, norm=width * shape.hidden,
        vocab=0 if is_value else width * shape.vocab, layers=shape.layers,
        tied=not shape.head, gradients=gradients, adapters=width * adapters,
        scaled=scaled, entropy=entropy,
    )  # fmt: skip
