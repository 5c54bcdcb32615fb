"""The steps of a chain as boxes and lines."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evaluations.chains.story import StepNow
from evaluations.steps.step import Recipe, Step
from platform_site.drawing import Drawing, drawing_of

LETTERS = 26  # of a text that fit into a box


@dataclass(frozen=True)
class Box:
    """``now`` is None before the chain has started."""

    step: Step
    x: int
    y: int
    now: StepNow | None = None

    @property
    def name(self) -> str:
        return cut(self.step.name)

    @property
    def words(self) -> str:
        if self.now is None:
            return cut(self.step.verb)
        jobs = len(self.now.parts)
        count = f" {self.now.done}/{jobs}" if jobs > 1 else ""
        return cut(f"{self.step.verb}, {self.now.label.lower()}{count}")


@dataclass(frozen=True)
class Graph:
    boxes: Sequence[Box]
    drawing: Drawing[str]


def graph_of(recipe: Recipe, story: Sequence[StepNow] = ()) -> Graph:
    """Each step below those that it needs."""
    now: Mapping[str, StepNow] = {each.step.name: each for each in story}
    edges = [(name, step.name) for step in recipe.steps for name in step.needs]
    drawing = drawing_of([step.name for step in recipe.steps], edges)
    boxes = [Box(step, *drawing.places[step.name], now.get(step.name)) for step in recipe.steps]
    return Graph(boxes, drawing)


def cut(text: str) -> str:
    return text if len(text) <= LETTERS else f"{text[: LETTERS - 1]}…"
