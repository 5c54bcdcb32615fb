"""A job that tries a training job before it costs: part by part, told as each of them ends."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, ClassVar

from jobs.kinds.base import End, JobKind, Line, Reads, Report, Verdict, ended_early
from jobs.kinds.train import FILES, TRAINING, Train
from jobs.verl import outside
from jobs.verl.algorithms import algorithm_of, is_rl
from jobs.verl.knobs import chosen, number, value_of
from jobs.verl.overrides import below, readable
from jobs.verl.spec import TrainSpec
from platform_site.counts import counted

STATES = ("passed", "warned", "failed", "skipped")
KWARGS = "data.apply_chat_template_kwargs"
MOST_SECONDS = 1e9
OVERLONG = {"left": "cut", "right": "cut"}
TRAINERS: Mapping[str, Train] = {kind.slug: kind for kind in TRAINING}


@dataclass(frozen=True)
class TrialSpec:
    """``job`` is the number of the job that is tried, ``of`` its kind and ``train`` its spec."""

    job: int = 0
    of: str = "sft"
    train: Mapping[str, Any] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        raise NotImplementedError

    @property
    def training(self) -> TrainSpec:
        return TrainSpec.from_json(self.of, self.train)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


class Trial(JobKind):
    """``parts`` are what is tried, in their order; ``told`` the event that tells them."""

    unit: ClassVar[str] = "part"
    units: ClassVar[str] = "parts"
    panels: ClassVar[Sequence[str]] = ("report", "log", "system", "events", "config")
    parts: ClassVar[Sequence[str]] = ()
    told: ClassVar[str] = ""
    asked: ClassVar[type[TrialSpec]] = TrialSpec

    def read(self, data: Mapping[str, Any]) -> Any:
        known = {each.name for each in fields(self.asked)}
        return self.asked(**{name: value for name, value in data.items() if name in known})

    def judge(self, spec: Any, end: End) -> Verdict:
        lines = self.lines(end.said)
        faults = [line for line in lines if line.state == "failed"]
        if end.stop_asked and end.exit_code:
            return ended_early(end, self.unit)
        if faults:
            more = f" And {counted(len(faults) - 1, 'more fault')}." if faults[1:] else ""
            first = f"{faults[0].name.capitalize()}: {faults[0].said}".removesuffix(".")
            return Verdict("failed", f"{first}.{more}")
        tried = [line.name for line in lines if line.state in ("passed", "warned")]
        if end.exit_code == 0 and tried == [*self.parts]:
            doubts = sum(line.state == "warned" for line in lines)
            but = f", with {counted(doubts, 'doubt')}" if doubts else ""
            return Verdict("completed", f"All {len(self.parts)} parts passed{but}.")
        return ended_early(end, self.unit)

    def reads(self, spec: Any) -> Reads:
        return TRAINERS[spec.of].reads(spec.training) if spec.of in TRAINERS else Reads()

    def placed(self, spec: Any, paths: Mapping[str, str]) -> Any:
        values = {**spec.train.get("values", {}), **paths}
        return replace(spec, train={**spec.train, "values": values})

    def report(self, spec: Any, said: Mapping[str, Mapping[str, Any]]) -> Report:
        lines = self.lines(said)
        ended = {line.name for line in lines}
        waiting = [Line(name, "waiting", "") for name in self.parts if name not in ended]
        return Report((*lines, *waiting), tuple(self.not_tried(spec)))

    def not_tried(self, spec: Any) -> Iterator[str]:
        """What it says nothing of, in sentences."""
        yield from ()

    def values(self, spec: Any) -> Mapping[str, Any]:
        return {"job": spec.job, **spec.training.values}

    def lines(self, said: Mapping[str, Mapping[str, Any]]) -> list[Line]:
        """The parts that a run told of, each once and in their order. It may write anything."""
        found = {}
        told = said.get(self.told, {}).get("parts")
        for part in told if isinstance(told, list) else []:
            if _is_part(part) and part["name"] in self.parts:
                was_tried = part["state"] != "skipped"
                took = seconds_in(part.get("seconds")) if was_tried else None
                said_of = str(part.get("said", ""))
                found[part["name"]] = Line(part["name"], part["state"], said_of, took)
        return [found[name] for name in self.parts if name in found]


def seconds_in(told: Any) -> float | None:
    """Seconds that a run told; None for what are none."""
    is_time = type(told) in (int, float) and 0 <= told < MOST_SECONDS
    return float(told) if is_time else None


def _is_part(part: Any) -> bool:
    return (
        isinstance(part, dict)
        and isinstance(part.get("name"), str)
        and (part.get("state") in STATES)
    )


def plan_of(job: TrainSpec, made: TrainSpec) -> dict[str, Any]:
    """What the node is told of a job's data, whoever tries it: ``trainyard_node.rehearse.plan``
    reads it. ``made`` is the spec with the files that are made of the job's own."""
    target = algorithm_of(job.kind).target
    is_prompt = is_rl(job.kind)
    given = {override.key: override.value for override in readable(job.overrides)}
    column = given.get("data.prompt_key" if is_prompt else "data.messages_key", "")
    return {
        "target": target,
        "config": algorithm_of(job.kind).config,
        "files": {
            name.removesuffix("_files"): {
                "source": str(job.values.get(name, "")), "target": str(made.values[name]),
            }
            for name in FILES
            if name.endswith("_files")
        },
        "batch": number(job, "train_batch_size"),
        "limit": number(job, "max_prompt_length" if is_prompt else "max_length"),
        "overlong": _overlong(job),
        "column": "" if target == "dpo" else str(column),
        "template_kwargs": below(job.overrides, KWARGS),
    }  # fmt: skip


def folders_of(job: TrainSpec) -> dict[str, str]:
    """The folders outside of its run directory that the job will write into."""
    return {
        each.key: each.value
        for each in readable(job.overrides)
        if outside.is_written(each) and isinstance(each.value, str) and each.value.startswith("/")
    }


def packages_of(job: TrainSpec) -> dict[str, str]:
    """The packages that its settings need, each with what needs it."""
    found = {name: f"the tracker {name}" for name in chosen(job, "loggers")}
    return found | adapter_packages(job)


def adapter_packages(job: TrainSpec) -> dict[str, str]:
    return {"peft": "LoRA"} if number(job, "lora_rank", 0) else {}


def _overlong(job: TrainSpec) -> str:
    if is_rl(job.kind):
        return "dropped" if value_of(job, "filter_overlong") else "error"
    return OVERLONG.get(str(value_of(job, "truncation")), "error")
