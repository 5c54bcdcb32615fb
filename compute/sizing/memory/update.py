"""The peak of one optimizer step of an engine."""

from functools import lru_cache

from compute.sizing.memory import fsdp1, fsdp2
from compute.sizing.memory.events import MemoryEvent
from compute.sizing.memory.step import Gradients, step_of
from compute.sizing.question import Engine, Update


def gradients_of(update: Update) -> Gradients:
    if update.micro_batches <= 1:
        return "one"
    if update.synced:
        return "synced"
    return "waiting two" if update.micro_batches == 2 else "waiting"


@lru_cache(maxsize=8192)
def update_events(
    engine: Engine, gradients: Gradients, scaled: bool = False, entropy: bool = False
) -> tuple[MemoryEvent, ...]:
    """The moments of an optimizer step, with the moments of AdamW there all the time."""
    step = step_of(engine, gradients, scaled, entropy)
    kind = fsdp1 if engine.strategy == "fsdp" else fsdp2
    # torch's AdamW takes its foreach form, which needs a copy of all squares' roots.
    stepped = MemoryEvent("optimizer step", step.held, step.trained, 3 * step.trained)
    moments = 2 * step.trained
    return (stepped, *(one._replace(optimizer=moments) for one in kind.events(step)))
