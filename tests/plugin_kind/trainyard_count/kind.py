"""A job that counts, by nothing but Python."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from jobs.kinds.base import End, JobKind, Verdict, ended_early
from jobs.process import Command, Placement

SCRIPT = """
import json, sys, time
last = int(sys.argv[1])
def tell(name, **line):
    with open(name, "a") as file:
        file.write(json.dumps({"at": time.time(), **line}) + "\\n")
tell("events.jsonl", kind="planned", message="so many", steps=last)
for number in range(1, last + 1):
    print(number, flush=True)
    tell("metrics.jsonl", step=number, data={"count/number": number})
tell("events.jsonl", kind="counted", message="all of them", last=last)
"""


@dataclass(frozen=True)
class CountSpec:
    last: int
    kind: ClassVar[str] = "count"

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


class Count(JobKind):
    slug = "count"
    label = "Counting"
    unit = "number"
    units = "numbers"
    panels = ("charts", "log", "events")

    def read(self, data: Mapping[str, Any]) -> CountSpec:
        return CountSpec(int(data.get("last", 0)))

    def command(self, spec: CountSpec, placement: Placement, origins: Mapping[str, str]) -> Command:
        return Command(
            (placement.python, "-c", SCRIPT, str(spec.last)), {"COUNTS": "1"}, placement.run_dir
        )

    def judge(self, spec: CountSpec, end: End) -> Verdict:
        if end.exit_code == 0 and end.said.get("counted", {}).get("last") == spec.last:
            return Verdict("completed", f"Counted to {spec.last}.")
        return ended_early(end, self.unit)

    def key_metrics(self, spec: CountSpec) -> Sequence[str]:
        return ("count/number",)

    def values(self, spec: CountSpec) -> Mapping[str, Any]:
        return spec.to_json()
