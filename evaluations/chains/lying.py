"""On which machines the models of a chain will lie, as far as its recipe says before it starts.

A training has the model that it begins with sent to its machine. All other steps work where their
models lie.
"""

from collections.abc import Iterator, Mapping, Set

from compute.models import Machine
from evaluations.steps.step import CHOOSE, GATE, LORA, MERGE, TRAIN, Recipe, Step

Places = Mapping[str, Set[str]]  # by a step, the names of the machines on which its models lie


def places_of(recipe: Recipe, machine: Machine) -> Places:
    """A chain trains on ``machine`` where a step names none."""
    found = dict[str, Set[str]]()
    for step in recipe.steps:
        of = {name for source in step.models for name in found.get(source.step, ())}
        at_paths = {machine.name} if any(source.path for source in step.models) else set()
        usual = {machine.name} if step.verb == TRAIN else of | at_paths
        is_told = step.machine and step.verb not in (CHOOSE, GATE)  # which pass on what lies there
        found[step.name] = {step.machine} if is_told else usual or {machine.name}
    return found


def apart(step: Step, places: Places) -> Iterator[str]:
    """Why a step does not reach the models that it works on, as sentences."""
    if not step.has_jobs or step.verb == TRAIN:
        return
    of = {source.step: places[source.step] for source in step.models if source.step}
    for name, machines in of.items():
        away = sorted(machines - {step.machine}) if step.machine else []
        if away:
            yield (f"It would run on {step.machine}, and the models of the step {name} lie on "
                   f"{' and '.join(away)}: leave its machine out, and it runs there.")  # fmt: skip
    if (
        step.verb in (MERGE, LORA)
        and not step.machine
        and len(all_of := set().union(*of.values())) > 1
    ):
        where = " and ".join(sorted(all_of))
        yield f"The models of one merge lie on one machine, and these lie on {where}."
