"""The moments of an optimizer step under FSDP1, as verl wraps a model: a unit for each layer, and
embedding, last norm and head in the root, which stays whole until the step's last reduction.

A unit's gradients are joined to one flat tensor in the dtype of the computation, which is copied
to fp32 before it is reduced (torch.distributed.fsdp, release 2.13).
"""

from functools import lru_cache

from compute.sizing.memory.events import MemoryEvent
from compute.sizing.memory.step import Step


@lru_cache(maxsize=8192)
def events(step: Step) -> tuple[MemoryEvent, ...]:
    found = [*_logits(step), *_head(step), *_root_reduce(step)]
    for at in sorted({1, 2, step.layers - 1, step.layers} & set(range(1, step.layers + 1))):
        found += _layer(step, at)
    return tuple(found)


def root(step: Step) -> float:
    return step.embedding + step.head + step.norm


def _waits(step: Step) -> bool:
    return step.gradients.startswith("waiting")


def _before(step: Step) -> float:
    """Gradients of earlier micro batches: shards, or whole in the dtype of the computation."""
    if step.gradients == "synced":
        return step.trained
    if not _waits(step):
        return 0
    if not step.learns:
        return step.layers * step.adapters
    return root(step) + step.shape.in_layers * step.work.width


def _logits(step: Step) -> tuple[MemoryEvent, ...]:
    """Logits beside their copy at another temperature, or beside the gradients of the
    log-probabilities and of the entropy (flash_attn writes over them without an entropy)."""
    copies = 3 if step.entropy else 2 if step.scaled else 1
    acts = step.layers * step.work.kept + step.work.rope
    acts += 4 * step.work.width * step.shape.hidden
    weights = step.held + root(step)
    return (MemoryEvent("loss", weights, _before(step), 0, acts, copies * step.vocab),)


def _head(step: Step) -> tuple[MemoryEvent, ...]:
    before, hidden = _before(step), step.work.width * step.shape.hidden
    acts = step.layers * step.work.kept + step.work.rope + 4 * hidden
    weights = step.held + root(step)
    gradient = _head_gradient(step)
    return (
        MemoryEvent("logits", weights, before, 0, acts, step.vocab),
        MemoryEvent(
            "head backward", weights + step.layer, before + gradient, 0, acts + hidden, step.vocab
        ),
        MemoryEvent("final norm", weights + step.layer, before + gradient, 0, acts + 4 * hidden),
    )  # fmt: skip


def _head_gradient(step: Step) -> float:
    if not step.vocab or not step.learns:
        return 0
    return step.embedding if step.tied else step.head


def _layer(step: Step, at: int) -> tuple[MemoryEvent, ...]:
    """Layer ``at`` of 1 to ``layers`` in its backward pass, and the reduction after it."""
    work, hidden = step.work, step.work.width * step.shape.hidden
    below = (at - 1) * work.kept + work.rope + hidden
    # The next unit is gathered ahead: with adapters, which are units of their own, a small one.
    weights = step.held + root(step) + (step.layer if at > 1 and step.learns else 0)
    unit = _learned(step)
    found = []
    for earlier, reduces in _moments(step, at):
        before = earlier + _head_gradient(step)
        found += [
            MemoryEvent(
                f"{one.name} of layer {at}", weights + step.layer,
                before + work.width * one.gradients, 0, below + work.input + one.per_token,
            )
            for one in work.backward
        ]  # fmt: skip
        joined = before + 2 * unit
        found.append(MemoryEvent(f"joined gradients {at}", weights + step.layer, joined, 0, below))
        if reduces and step.learns:
            reduced = before + _flat(step, unit, step.shape.layer)
            found.append(MemoryEvent(f"reduce of layer {at}", weights, reduced, 0, below))
    return tuple(found)


def _learned(step: Step) -> float:
    return step.layer if step.learns else step.adapters


def _flat(step: Step, unit: float, elements: int) -> float:
    """A unit's gradients in both dtypes, a padded copy where the GPUs do not share them evenly, and
    the shard that comes of it."""
    padded = step.whole * unit if elements % step.shards else 0
    return (1 + step.whole) * unit + padded + step.whole * unit / step.shards


def _moments(step: Step, at: int) -> tuple[tuple[float, bool], ...]:
    """Gradients there before the layer adds its own, and whether it reduces them then."""
    shard = step.whole * _learned(step) / step.shards
    if step.gradients == "one":
        return (((step.layers - at) * shard, True),)
    if step.gradients == "synced":
        return ((step.trained, True),)
    whole = root(step) if step.learns else 0
    mixed = whole + at * _learned(step) + (step.layers - at) * shard
    if step.gradients == "waiting two":
        return ((mixed, True),)
    return ((_before(step), False), (mixed, True))


def _root_reduce(step: Step) -> tuple[MemoryEvent, ...]:
    unit = root(step)
    if not step.learns:
        return ()
    layers = step.whole * step.shape.in_layers * step.work.width / step.shards
    before = step.trained if step.gradients == "synced" else layers
    if _waits(step):
        before += unit
    flat = _flat(step, unit, step.in_root)
    earlier = _before(step) if step.gradients == "waiting" else before
    return (
        MemoryEvent(
            "joined gradients of the root", step.held + unit, max(before, earlier) + 2 * unit
        ),
        MemoryEvent(
            "embedding backward", step.held + unit,
            max(before, earlier) + (3 if step.tied and step.vocab else 1) * step.embedding,
        ),
        MemoryEvent("reduce of the root", step.held, before + flat),
    )  # fmt: skip
