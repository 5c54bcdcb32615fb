"""The moments of an optimizer step under FSDP2, as verl wraps a model: a unit for each layer, one
for the embedding and one for the head, or both in the root where they are one matrix.

FSDP2 gathers a unit into a buffer and copies it out, gathers the next unit while one works, and
keeps the input of a reduction until the next one (torch.distributed.fsdp, release 2.13).
"""

from functools import lru_cache

from compute.sizing.memory.events import MemoryEvent
from compute.sizing.memory.step import Step


@lru_cache(maxsize=8192)
def events(step: Step) -> tuple[MemoryEvent, ...]:
    found = [*_logits(step), *_head(step), *_embedding(step)]
    for at in sorted({1, 2, step.layers - 1, step.layers} & set(range(1, step.layers + 1))):
        found += _layer(step, at)
    return tuple(found)


def _root(step: Step) -> float:
    """What the root holds whole from the first layer of the forward pass on."""
    return step.embedding if step.tied else 0


def gathered_gradients(step: Step) -> float:
    """Of earlier micro batches, whole, while the last one begins."""
    if not step.gradients.startswith("waiting"):
        return 0
    if not step.learns:
        return step.whole * step.layers * step.adapters
    rest = step.embedding + step.head + step.norm
    return step.whole * (step.shape.in_layers * step.work.width + rest)


def _before(step: Step) -> float:
    """Gradients that are there before the backward pass of the last micro batch."""
    return step.trained if step.gradients == "synced" else gathered_gradients(step)


def first_gathers(step: Step) -> float:
    """The embedding's buffer beside the embedding, or beside the first layer and its own."""
    if step.tied:
        return 0
    layer = 0 if step.shards == 1 else step.doubled * step.layer
    return step.embedding + max(step.embedding, layer)


def _logits(step: Step) -> tuple[MemoryEvent, ...]:
    """Logits beside their copy at another temperature, or beside the gradients of the
    log-probabilities and of the entropy (flash_attn writes over them without an entropy)."""
    copies = 3 if step.entropy else 2 if step.scaled else 1
    acts = step.layers * step.work.kept + step.work.rope
    acts += 4 * step.work.width * step.shape.hidden
    weights = step.held + _root(step)
    return (
        MemoryEvent("embedding", step.held + first_gathers(step), _before(step), 0, step.work.rope),
        MemoryEvent("loss", weights, _before(step), 0, acts, copies * step.vocab),
    )


def _head(step: Step) -> tuple[MemoryEvent, ...]:
    before, hidden = _before(step), step.work.width * step.shape.hidden
    acts = step.layers * step.work.kept + step.work.rope + 4 * hidden
    output = step.embedding if step.tied else step.head
    weights = step.held + _root(step)
    gathered = step.layer if step.tied else 2 * step.head
    own = 0 if step.tied else step.head
    gradient = output if step.vocab and step.learns else 0
    buffer = (step.doubled - 1) * step.layer if own else 0
    found = (
        MemoryEvent("head gathered", weights + gathered + buffer, before, 0, acts),
        MemoryEvent("logits", weights + gathered, before, 0, acts, step.vocab),
        MemoryEvent(
            "head backward", weights + own + step.layer, before + gradient, 0, acts + hidden,
            step.vocab,
        ),
    )  # fmt: skip
    if step.tied or not gradient:
        norm = MemoryEvent(
            "final norm", weights + step.layer, before + gradient, 0, acts + 4 * hidden
        )
        return (*found, norm)
    reducing = step.whole * gradient
    once = reducing / step.shards
    # Gradients of earlier micro batches have taken up the last one's by then.
    summed = 0 if step.gradients.startswith("waiting") else gradient
    return (
        *found,
        MemoryEvent(
            "head reduce", weights + step.layer, before + summed + reducing + once, 0, acts
        ),
        MemoryEvent(
            "final norm", weights + step.layer, before + reducing + once, 0, acts + 4 * hidden
        ),
    )  # fmt: skip


def _layer(step: Step, at: int) -> tuple[MemoryEvent, ...]:
    """Layer ``at`` of 1 to ``layers`` in its backward pass."""
    work, hidden = step.work, step.work.width * step.shape.hidden
    below = (at - 1) * work.kept + work.rope + hidden
    weights = step.held + _root(step) + step.layer
    weights += step.embedding if at == 1 and not step.tied else step.layer
    before = max(_moments(step, at))
    if step.tied and step.vocab and step.learns:
        before += step.embedding
    return tuple(
        MemoryEvent(
            f"{one.name} of layer {at}", weights, before + work.width * one.gradients, 0,
            below + work.input + one.per_token,
        )
        for one in work.backward
    )  # fmt: skip


def _moments(step: Step, at: int) -> tuple[float, ...]:
    """Gradients that are there while layer ``at`` works: of earlier micro batches, of the layers
    above, and the input of the last reduction, which is kept until the next one."""
    layer = step.layer if step.learns else step.adapters
    unit = step.whole * layer
    head = step.whole * step.head if step.learns and not step.tied else 0
    done = ((step.layers - at) * unit + head) / step.shards
    reducing = unit if at < step.layers else head
    if step.gradients == "one":
        return (done + reducing,)
    if step.gradients == "synced":
        return (step.trained + reducing,)
    earlier = gathered_gradients(step)
    # Experts that only fill up are gathered and reduced, but have no gradients to keep.
    mean = step.shape.in_layers * step.work.width / step.layers if step.learns else layer
    last = earlier - (step.layers - at) * step.whole * mean - head + done + reducing
    return (last,) if step.gradients == "waiting two" else (earlier, last)


def _embedding(step: Step) -> tuple[MemoryEvent, ...]:
    if not step.learns:
        return ()
    unit = step.embedding
    whole = step.whole * unit
    layers = step.whole * step.shape.in_layers * step.work.width / step.shards
    before = layers + step.whole * step.head / step.shards
    if step.gradients == "synced":
        before = step.trained
    elif step.gradients.startswith("waiting"):
        before += whole
    reduced = MemoryEvent("reduce", step.held, before + unit + whole + whole / step.shards)
    if not step.tied:
        return (reduced,)
    before += step.whole * step.layer
    if step.gradients == "waiting":
        before = max(before, gathered_gradients(step))
    sums = 3 * unit if step.vocab else unit
    return (reduced, MemoryEvent("embedding backward", step.held + unit, before + sums))
