"""The peak of a pass without gradient: old log-probabilities, the reference's, the critic's values.

verl switches to evaluation: nothing is checkpointed and nothing is kept from layer to layer.
"""

from functools import lru_cache

from compute.sizing.memory.events import MemoryEvent
from compute.sizing.memory.fsdp1 import root
from compute.sizing.memory.fsdp2 import first_gathers
from compute.sizing.memory.step import Step, step_of
from compute.sizing.question import Engine


@lru_cache(maxsize=8192)
def pass_events(
    engine: Engine, scaled: bool = False, is_reference: bool = False
) -> tuple[MemoryEvent, ...]:
    """A reference's weights lie in the host's memory, whatever its settings say: verl forces it."""
    step = step_of(engine, "one", scaled)
    held = 0 if is_reference else step.held
    hidden = step.work.width * step.shape.hidden
    last = step.work.rope + hidden
    copies = 2 if scaled else 1
    buffer = (step.doubled - 1) * step.layer
    if engine.strategy == "fsdp":
        weights, layer, head, buffer = held + root(step), step.layer, 0.0, 0.0
        # One GPU gives the root back with the logits; several keep it.
        working, after = 0.0, held if step.shards == 1 else weights
        # FSDP1 makes room for each unit's fp32 weights once, at its first pass: for the root's, or
        # for those of a layer that is larger.
        first = held + step.whole * max(root(step), step.layer)
    else:
        weights, head = held + _root(step), _gathered_head(step)
        after = weights
        layer = step.doubled * step.layer
        # One GPU gives the head's buffer back before the product.
        working = head if step.shards > 1 else head / 2
        first = held + first_gathers(step)
    return (
        MemoryEvent("embedding", first),
        # The last layer's buffer is kept until the next layer is copied out of its own.
        MemoryEvent("next layer", weights + _next(step, engine), 0, 0, last + hidden),
        MemoryEvent("layer", weights + layer, 0, 0, step.work.rope + hidden + step.work.forward),
        MemoryEvent("head gathered", weights + head + buffer, 0, 0, last),
        MemoryEvent("logits", weights + working, 0, 0, last, step.vocab),
        MemoryEvent("scaled logits", after, 0, 0, 0, copies * step.vocab),
    )


def _next(step: Step, engine: Engine) -> float:
    return step.layer if engine.strategy == "fsdp" else (2 * step.doubled - 1) * step.layer


def _root(step: Step) -> float:
    return step.embedding if step.tied else 0


def _gathered_head(step: Step) -> float:
    return step.layer if step.tied else 2 * step.head
