"""Read recipes: TOML files in ``jobs/recipes`` with values for the knobs of one kind of run."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from jobs.verl.algorithms import ALGORITHMS
from jobs.verl.knobs import BY_NAME
from jobs.verl.spec import TrainSpec, Value
from jobs.warning import Range

FOLDER = Path(__file__).resolve().parent.parent / "recipes"


@dataclass(frozen=True)
class Recipe:
    """A starting point. Paths in ``values`` may hold ``{samples}``, the sample folder.

    ``data`` describes the columns of the rows, ``sizes`` the models that it suits, ``gpu_floor``
    the smallest GPU that suffices; ``ranges`` are the usual values of some knobs.
    """

    slug: str
    kind: str
    title: str
    purpose: str
    needs: str
    tips: tuple[str, ...]
    is_sample: bool
    values: Mapping[str, Value]
    overrides: tuple[str, ...]
    data: str = ""
    sizes: str = ""
    gpu_floor: str = ""
    ranges: Mapping[str, Range] = field(default_factory=dict)

    @property
    def kind_label(self) -> str:
        return ALGORITHMS[self.kind].label

    @property
    def target(self) -> str:
        """What the data that it reads is for: ``sft``, ``dpo`` or ``rl``."""
        return ALGORITHMS[self.kind].target

    def spec(self, places: Mapping[str, str]) -> TrainSpec:
        """The spec of the recipe, with folder names such as ``{samples}`` replaced."""
        filled = {
            name: value.format_map(places) if isinstance(value, str) else value
            for name, value in self.values.items()
        }
        return TrainSpec(self.kind, filled, self.overrides)


@lru_cache
def all_recipes(folder: Path = FOLDER) -> Mapping[str, Recipe]:
    """All recipes by slug (the file's name), samples last."""
    recipes = [read(path) for path in sorted(folder.glob("*.toml"))]
    return {recipe.slug: recipe for recipe in sorted(recipes, key=lambda r: r.is_sample)}


def read(path: Path) -> Recipe:
    """Read one recipe. Raises ``ValueError`` when it names a knob that its kind does not have."""
    data = tomllib.loads(path.read_text())
    values, kind = data["values"], data["kind"]
    ranges = {name: Range(*parts) for name, parts in data.get("ranges", {}).items()}
    for name in (*values, *ranges):
        if name not in BY_NAME or kind not in BY_NAME[name].keys:
            raise ValueError(f"{path.name}: {kind} has no knob {name}")
    return Recipe(
        slug=path.stem,
        kind=kind,
        title=data["title"],
        purpose=data["purpose"],
        needs=data["needs"],
        tips=tuple(data.get("tips", ())),
        is_sample=data.get("sample", False),
        values=values,
        overrides=tuple(data.get("overrides", ())),
        data=data.get("data", ""),
        sizes=data.get("sizes", ""),
        gpu_floor=data.get("gpu_floor", ""),
        ranges=ranges,
    )
