"""Save and pause on request in verl's own trainers, and read rows as their source has them, by
hooks from outside.
"""

from trainyard_node.hooks import absent
from trainyard_node.hooks.rl import FORMER, V1
from trainyard_node.imports import when_imported


def install() -> None:
    """Hook into verl's trainers and data once they are imported; this imports nothing of verl."""
    absent.install()
    for trainer in (V1, FORMER):
        when_imported(trainer.module, trainer.attach)
