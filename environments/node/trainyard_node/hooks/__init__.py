"""Hooks into verl's own trainers, from outside: save and pause on request, count what is lost, read
rows as their source has them, tell the phases of a start, and measure the phases of a step where a
run asks for it.
"""

from trainyard_node.hooks import (
    absent,
    cut_answers,
    limited,
    lost,
    phases,
    prompts,
    resolved,
    startup,
)
from trainyard_node.hooks.rl import FORMER, V1
from trainyard_node.imports import when_imported


def install() -> None:
    """Hook into verl's trainers and data once they are imported; this imports nothing of verl."""
    absent.install()
    for trainer in (V1, FORMER):
        when_imported(trainer.module, trainer.attach)
    when_imported(V1.module, resolved.attach_to_v1)
    when_imported(FORMER.module, resolved.attach_to_former)
    when_imported(cut_answers.MODULE, cut_answers.attach)
    when_imported(cut_answers.FORMER, cut_answers.attach_to_former)
    when_imported(lost.WORKER, lost.attach_to_worker)
    when_imported(lost.DRIVER, lost.attach_to_driver)
    when_imported(limited.MODULE, limited.attach)
    when_imported(prompts.MODULE, prompts.attach)
    when_imported(startup.MODULE, startup.attach)
    phases.install()
