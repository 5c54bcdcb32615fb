"""How long an estimate takes, and how many settings a plan searches in a second, on one core.

By the process's own time, so that what else the machine does counts for nothing. Caches are warm,
as after the first page, but for ``a plan``: that is all of a child which knows nothing yet, as its
page asks for one.
"""

import time
from collections.abc import Callable
from statistics import median

from compute.sizing.memory.ledger import memory_of
from compute.sizing.plan.search import search
from compute.sizing.question import Question
from compute.sizing.speed.times import time_of
from jobs.verl import planning
from jobs.verl.planning import Asked
from jobs.verl.recipes import all_recipes
from jobs.verl.spec import TrainSpec
from platform_site.bounded.calls import call
from platform_site.bounded.limits import Limits
from tests.compute.sizing.plan.questions import grpo, sft
from tests.e2e.site import Site

TIMES, TURNS = 2000, 5


def measure(_: Site) -> dict[str, float]:
    figures: dict[str, float] = {}
    for name, question in (("GRPO", grpo()), ("SFT", sft())):
        for what, ask in (("memory", memory_of), ("time", time_of)):
            figures[f"{name}: {what} of a question [us]"] = asked(ask, question) * 1e6
        figures |= searched(name, question)
        figures[f"{name}: a plan [ms]"] = planned(name.lower(), question)
    return figures


def asked(ask: Callable[[Question], object], question: Question) -> float:
    ask(question)
    began = time.process_time()
    for _ in range(TIMES):
        ask(question)
    return (time.process_time() - began) / TIMES


def searched(name: str, question: Question) -> dict[str, float]:
    rates, tried = [], 0
    for _ in range(TURNS):
        began = time.process_time()
        tried = search([question], "fastest").tried
        rates.append(tried / (time.process_time() - began))
    return {
        f"{name}: settings of a plan": float(tried),
        f"{name}: settings a second": median(rates[1:]),
    }


def planned(recipe: str, question: Question) -> float:
    """The milliseconds that a child takes of a core for all of a plan."""
    found = all_recipes()[recipe]
    asked = Asked(TrainSpec(found.kind, dict(found.values), found.overrides), question)
    return median(call(Limits(seconds=90), (), child, asked) for _ in range(TURNS))


def child(asked: Asked) -> float:
    planning.plan(asked)
    return 1000 * time.process_time()
