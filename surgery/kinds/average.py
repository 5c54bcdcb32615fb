"""The average of several checkpoints or models, on the machine where they lie."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, ClassVar

from jobs.kinds.base import End, Line, Reads, Report, Verdict
from jobs.kinds.maker import FOLDER, ModelMaker
from jobs.kinds.trial import TRAINERS, seconds_in
from jobs.process import Command, Placement, Spread
from surgery.kinds import judged
from surgery.kinds.judged import Judge
from surgery.kinds.reading import as_list, as_number, models

UNIFORM, LAST, EMA, WEIGHTED, METRIC = "uniform", "last", "ema", "weights", "metric"
GREEDY = "greedy"
SCORING = f".{FOLDER}.scoring"  # where the node's program has each model scored
KEPT, LEFT_OUT, TRYING, WAITING = "kept", "left_out", "trying", "waiting"


@dataclass(frozen=True)
class AverageSpec:
    """``checkpoints`` are in their order; each has a ``path`` and a ``step``, and a ``value`` where
    the method goes by values: its weight, or the value of ``metric`` at its step. ``judge`` is the
    run that a greedy soup is scored by (``Judge``)."""

    method: str = UNIFORM
    checkpoints: Sequence[Mapping[str, Any]] = field(default_factory=list)
    last: int | None = None
    decay: float | None = None
    metric: str = ""
    higher_is_better: bool | None = None
    dtype: str = ""
    judge: Mapping[str, Any] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        return Average.slug

    @property
    def scored_by(self) -> Judge | None:
        return Judge.read(self.judge) if self.method == GREEDY else None

    @property
    def read(self) -> list[str]:
        """The folders that are read."""
        paths = [str(each.get("path", "")) for each in as_list(self.checkpoints)]
        return paths[-self.last :] if self.method == LAST and self.last else paths

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def to_node(self) -> dict[str, Any]:
        """As ``trainyard_node.average`` reads it: it has just the keys that the method needs."""
        is_by_value = self.method in (WEIGHTED, METRIC) or (self.method == GREEDY and self.metric)
        told: dict[str, Any] = {
            "method": "weighted" if self.method in (WEIGHTED, METRIC) else self.method,
            "checkpoints": [dict(each) for each in self.checkpoints],
        }
        if self.method == LAST:
            told["last"] = self.last
        if self.method == EMA:
            told["decay"] = self.decay
        if is_by_value:
            told["higher_is_better"] = self.method == WEIGHTED or self.higher_is_better
        return told | ({"dtype": self.dtype} if self.dtype else {})


class Average(ModelMaker):
    slug: ClassVar[str] = "average"
    label: ClassVar[str] = "Average"
    done: ClassVar[str] = "made"
    can_look: ClassVar[bool] = True
    panels: ClassVar[Sequence[str]] = ("report", *ModelMaker.panels)

    def read(self, data: Mapping[str, Any]) -> AverageSpec:
        known = {each.name for each in fields(AverageSpec)}
        return AverageSpec(**{name: value for name, value in data.items() if name in known})

    def command(
        self, spec: AverageSpec, placement: Placement, origins: Mapping[str, str]
    ) -> Command:
        told = spec.to_node() | _score(spec, placement)
        target = f"{placement.run_dir}/{FOLDER}"
        made = self.program(placement, "average", "--text", json.dumps(told), "--out", target)
        if not self.devices(spec):
            return made
        env = {name: value for name, value in made.env.items() if name != "CUDA_VISIBLE_DEVICES"}
        return replace(made, env=env)

    def is_repeatable(self, spec: AverageSpec) -> bool:
        """A soup hangs on scores, whose last bits may differ between two runs of a trainer."""
        return spec.method != GREEDY

    def judge(self, spec: AverageSpec, end: End) -> Verdict:
        what = "The average is made"
        if spec.method == GREEDY:
            lines = _lines(spec, end.said)
            kept = sum(line.state == KEPT for line in lines)
            what = f"The average of {kept} of {len(lines)} candidates is made"
        return self.worth(end, what)

    def devices(self, spec: AverageSpec) -> int:
        """None, but those of the run that a soup is scored by."""
        judge = spec.scored_by
        return TRAINERS[judge.of].devices(judge.training) if judge else 0

    def ranks(self, spec: AverageSpec) -> int:
        judge = spec.scored_by
        return TRAINERS[judge.of].ranks(judge.training) if judge else 1

    def spread(self, spec: AverageSpec, nodes: Sequence[int]) -> Spread:
        judge = spec.scored_by
        if judge is None:
            return super().spread(spec, nodes)
        return TRAINERS[judge.of].spread(judge.training, nodes)

    def release(self, spec: AverageSpec) -> str:
        return spec.scored_by.training.verl if spec.scored_by else ""

    def reads(self, spec: AverageSpec) -> Reads:
        judge = spec.scored_by
        files = TRAINERS[judge.of].reads(judge.training).files if judge else {}
        return Reads(files=files, inputs=models(spec.read))

    def placed(self, spec: AverageSpec, paths: Mapping[str, str]) -> AverageSpec:
        judge = spec.scored_by
        return replace(spec, judge=asdict(judge.placed(paths))) if judge else spec

    def report(self, spec: AverageSpec, said: Mapping[str, Mapping[str, Any]]) -> Report:
        return Report(tuple(_lines(spec, said)))

    def values(self, spec: AverageSpec) -> Mapping[str, Any]:
        judge = spec.scored_by
        return {**spec.to_json(), "judge": judge.job if judge else None}


def _score(spec: AverageSpec, placement: Placement) -> dict[str, Any]:
    """How the node's program has a model scored; nothing where it needs no score."""
    if spec.method != GREEDY:
        return {}
    if spec.scored_by is None:
        raise ValueError("The run by which a greedy soup is scored cannot be read.")
    folder = f"{placement.run_dir}/{SCORING}"
    there = replace(placement, run_dir=folder, resume_from="")
    own = spec.scored_by.command(there, f"{folder}/{FOLDER}")
    words = {"argv": list(own.argv), "env": dict(own.env)}
    return {"score": {**words, "metric": judged.METRIC, "step": judged.STEP}}


def _lines(spec: AverageSpec, said: Mapping[str, Mapping[str, Any]]) -> list[Line]:
    """Of each checkpoint, what came of it. A run may tell anything."""
    made = as_list(said.get("made", {}).get("checkpoints"))
    if spec.method == GREEDY and not made:
        made = as_list(said.get("tried", {}).get("candidates")) or list(spec.checkpoints)
    return [*map(_line, made)]


def _line(row: Mapping[str, Any]) -> Line:
    share = row.get("share")
    state = str(row.get("state", WAITING))
    if as_number(share) is not None:
        state = KEPT if share else LEFT_OUT
    name = f"step {row.get('step', '?')}"
    return Line(name, state, ", ".join(_found(row)), seconds_in(row.get("seconds")))


def _found(row: Mapping[str, Any]) -> Iterator[str]:
    alone = f"alone {judged.METRIC}"
    known = {"score": judged.METRIC, "alone": alone, "share": "share", "value": "metric"}
    for name, what in known.items():
        if (value := as_number(row.get(name))) is not None:
            yield f"{what} {value:.6g}"
    yield str(row.get("path", ""))
