"""Saving and pausing on request, in verl's own trainers, from outside of them."""

from trainyard_node.hooks.rl import FORMER, V1
from trainyard_node.imports import when_imported


def install() -> None:
    """Have verl's RL trainers look for requests once they are imported; imports nothing of verl."""
    for trainer in (V1, FORMER):
        when_imported(trainer.module, trainer.attach)
