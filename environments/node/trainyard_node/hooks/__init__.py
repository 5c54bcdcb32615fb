"""Save and pause on request in verl's own trainers, by hooks from outside."""

from trainyard_node.hooks.rl import FORMER, V1
from trainyard_node.imports import when_imported


def install() -> None:
    """Hook into verl's RL trainers once they are imported; this call imports nothing of verl."""
    for trainer in (V1, FORMER):
        when_imported(trainer.module, trainer.attach)
