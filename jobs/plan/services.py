"""What a plan is asked, and its search in a child of its own."""

from dataclasses import replace

from compute.models import Machine
from compute.sizing.gpus import find
from compute.sizing.plan.sides import Terms
from jobs.fit.guarded import guarded
from jobs.fit.learned import correction_for
from jobs.fit.services import Cards, NotKnown, cards_of, price_of, question_on
from jobs.verl import planning
from jobs.verl.planning import Asked, Plan
from jobs.verl.spec import TrainSpec
from platform_site.bounded.calls import call
from platform_site.bounded.limits import Limits

NODE = 8  # GPUs of a machine that nobody knows
# The longest context of a large model on many GPUs takes some twenty seconds of a core.
SEARCH = Limits(seconds=90)
MODULES = ("jobs.verl.planning",)


def known_cards(machine: Machine | None) -> Cards | None:
    """The cards of a machine, where they are known."""
    try:
        return cards_of(machine) if machine else None
    except NotKnown:
        return None


def ask(
    spec: TrainSpec, machine: Machine | None, goal: str, gpu: str = "", gpus: int | None = None
) -> Asked:
    """The question of a job on ``gpus`` cards, by the catalogue's slug or as its machine has them.

    Raises ``NotKnown`` and ``QuestionError``.
    """
    cards, owner = known_cards(machine), machine
    if gpu and not (cards and cards.gpu.slug == gpu):
        cards, owner = Cards(find(gpu), NODE, NODE), None
    if cards is None:
        raise NotKnown("Choose a GPU: the machine of the job has none that is known.", "gpu")
    values = {**spec.values, "device": "cuda"} | ({"gpus": gpus} if gpus else {})
    wanted = replace(spec, values=values)
    price = price_of(cards.gpu, owner, cards.count)
    with guarded("The question of a plan"):
        question = question_on(wanted, cards)
        return Asked(wanted, question, goal, Terms(price, correction_for(question)))


def plan(asked: Asked) -> Plan:
    """Search all settings of a job for its goal. Raises ``TooMuch``, and ``NotKnown`` where the
    search fails."""
    with guarded("The search for a plan"):
        return call(SEARCH, MODULES, planning.plan, asked)
