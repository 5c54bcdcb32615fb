"""The estimate of times against rows that others published, and what a question costs.

A row's figure is the estimate's factor of what was published: 1 is right, of a rate above 1 too
fast, of seconds above 1 too slow. A row that is further off than is asked of it says so.
"""

import time

from compute.sizing.speed.times import time_of
from tests.compute.sizing.speed.published import A100, LLAMA_8B, math, pretraining, rows
from tests.e2e.site import Site

TIMES, ROUNDS = 2000, 5


def measure(site: Site | None = None) -> dict[str, float]:
    figures = {}
    for row in rows():
        missed = "" if row.off <= row.within else f", MISSED (within {row.within})"
        figures[f"{row.name}{missed}"] = row.estimated / row.published
    questions = {"SFT": pretraining(LLAMA_8B, A100, 8, 1, 8192, True), "GRPO": math(32)}
    for name, question in questions.items():
        spent = []
        for _ in range(ROUNDS):
            begun = time.perf_counter()
            for _ in range(TIMES):
                time_of(question)
            spent.append((time.perf_counter() - begun) / TIMES)
        figures[f"a question of {name} asked again, us"] = 1e6 * min(spent)
    return figures
