"""What is printed about the stages."""

import re
from collections.abc import Iterable, Sequence

from tests.stages.process import Running

PERCENT = re.compile(r"\[ *(\d+)%\]")


def verdict(one: Running) -> str:
    return "passed" if one.has_passed else f"FAILED ({one.process.returncode})"


def ended(one: Running) -> str:
    """Its whole output, between two lines that name it."""
    head = f"──── {one.stage.name}: {verdict(one)} in {one.minutes:.1f} minutes "
    return f"{head:─<80}\n{one.text().rstrip()}\n{'─' * 80}"


def standing(running: Iterable[Running]) -> str:
    """How far each is, in one line."""
    return "…  " + ", ".join(f"{one.stage.name} {_so_far(one)}" for one in running)


def _so_far(one: Running) -> str:
    percent = PERCENT.findall(one.text())
    told = f" ({percent[-1]} %)" if percent else ""
    return f"{one.minutes:.0f} of {one.stage.budget:g} min{told}"


def summary(done: Sequence[Running], minutes: float, whole: float) -> str:
    """One line for each stage, then the stages over their budget, which is no failure."""
    rows = [f"{'Stage':10}{'Result':14}{'Minutes':>8}{'Budget':>8}"]
    for one in done:
        times = f"{one.minutes:8.1f}{one.stage.budget:8g}"
        rows.append(f"{one.stage.name:10}{verdict(one):14}{times}")
    rows.append(f"{'whole':24}{minutes:8.1f}{whole:8g}")
    return "\n".join([*rows, *late(done, minutes, whole)])


def late(done: Iterable[Running], minutes: float, whole: float) -> list[str]:
    found = [(one.stage.name, one.minutes, one.stage.budget) for one in done]
    return [
        f"OVER BUDGET: {name} took {took:.1f} minutes, and may take {budget:g}"
        for name, took, budget in [*found, ("the whole", minutes, whole)]
        if took > budget
    ]
