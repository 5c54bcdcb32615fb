"""Two models compared tensor by tensor, on the machine where they lie."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar

from jobs.kinds.base import REPORT, End, Product, Reads, Verdict
from jobs.kinds.maker import ModelMaker
from jobs.process import Command, Placement
from surgery.kinds.reading import models

FOLDER = "comparison"  # below the run directory
FILE = f"{FOLDER}/comparison.json"


@dataclass(frozen=True)
class CompareSpec:
    """What changed from ``before`` to ``after``; both are folders of the job's machine."""

    before: str = ""
    after: str = ""

    @property
    def kind(self) -> str:
        return Compare.slug

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


class Compare(ModelMaker):
    slug: ClassVar[str] = "compare"
    label: ClassVar[str] = "Comparison"
    done: ClassVar[str] = "compared"
    can_look: ClassVar[bool] = True
    panels: ClassVar[Sequence[str]] = ("comparison", "log", "system", "events", "config")

    def read(self, data: Mapping[str, Any]) -> CompareSpec:
        known = {each.name for each in fields(CompareSpec)}
        return CompareSpec(**{name: value for name, value in data.items() if name in known})

    def command(
        self, spec: CompareSpec, placement: Placement, origins: Mapping[str, str]
    ) -> Command:
        text = json.dumps({"models": [spec.before, spec.after]})
        target = f"{placement.run_dir}/{FOLDER}"
        return self.program(placement, "comparing", "--text", text, "--out", target)

    def judge(self, spec: CompareSpec, end: End) -> Verdict:
        said = end.said.get(self.done)
        if end.exit_code != 0 or said is None:
            return self.not_made(end)
        whole = said.get("whole")
        tensors = whole.get("tensors", "?") if isinstance(whole, dict) else "?"
        return Verdict("completed", f"The models are compared: {tensors} tensors.")

    def makes(self, spec: CompareSpec) -> Sequence[Product]:
        return (Product(REPORT, FOLDER),)

    def reads(self, spec: CompareSpec) -> Reads:
        return Reads(inputs=models([spec.before, spec.after]))
