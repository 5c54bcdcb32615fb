"""Several models merged into one, as a recipe in mergekit's YAML says, on the machine where they
lie."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar

from jobs.kinds.base import End, Reads, Verdict
from jobs.kinds.maker import FOLDER, ModelMaker
from jobs.process import Command, Placement
from surgery.kinds.reading import models, named
from surgery.recipes.recipe import RecipeError, read_recipe


@dataclass(frozen=True)
class MergeSpec:
    """``recipe`` is the YAML, kept as it was given; its models are folders of the job's machine."""

    recipe: str = ""

    @property
    def kind(self) -> str:
        return Merge.slug

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


class Merge(ModelMaker):
    slug: ClassVar[str] = "merge"
    label: ClassVar[str] = "Merge"
    done: ClassVar[str] = "made"
    can_look: ClassVar[bool] = True

    def read(self, data: Mapping[str, Any]) -> MergeSpec:
        known = {field.name for field in fields(MergeSpec)}
        return MergeSpec(**{name: value for name, value in data.items() if name in known})

    def command(self, spec: MergeSpec, placement: Placement, origins: Mapping[str, str]) -> Command:
        target = f"{placement.run_dir}/{FOLDER}"
        return self.program(placement, "merge", "--text", spec.recipe, "--out", target)

    def is_repeatable(self, spec: MergeSpec) -> bool:
        return True

    def judge(self, spec: MergeSpec, end: End) -> Verdict:
        return self.worth(end, "The model is made")

    def reads(self, spec: MergeSpec) -> Reads:
        try:
            recipe = read_recipe(spec.recipe)
        except RecipeError:  # of an older version, perhaps; the process itself will refuse it
            return Reads()
        others = [path for path in recipe.read if path != recipe.base]
        base = {"base": recipe.base} if recipe.base else {}
        return Reads(inputs=base | models(others) | named("adapter", recipe.adapters))
