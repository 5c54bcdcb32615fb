"""A model measured: its loss on texts, the score of its answers, or tasks of lm-eval."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, ClassVar

from jobs.kinds.base import REPORT, End, Product, Reads, Verdict
from jobs.kinds.maker import ModelMaker
from jobs.process import Command, Placement
from jobs.verl.model_dir import HUB_NAME
from platform_site.counts import counted
from surgery.kinds.reading import as_number
from surgery.kinds.steps import step_in

LOSS, ANSWERS, TASKS = "loss", "answers", "tasks"
WAYS = (LOSS, ANSWERS, TASKS)
BACKENDS = ("auto", "transformers", "vllm", "sglang")
FOLDER = "evaluation"  # below the run directory
RESULT = f"{FOLDER}/evaluation.json"
SCORES = f"{FOLDER}/scores.jsonl"
FIRST: Mapping[str, Sequence[str]] = {
    LOSS: ("eval/loss", "eval/perplexity"),
    ANSWERS: ("eval/score/mean", "eval/pass@1", "eval/score/best"),
    TASKS: (),
}
# What the run and the pages go by, and the program in the node does not ask for.
OF_THE_SITE = ("of_job", "gpus")
FILE, TASK_FILE, REWARD = "file", "task file", "reward_file"


@dataclass(frozen=True)
class EvaluateSpec:
    """``model`` is a folder of the job's machine, or a hub name: a Hugging Face folder, or a
    ``global_step_N`` folder of verl. ``files`` are rows of a data set's version; without a
    ``reward_file`` verl's own function for each row's ``data_source`` scores. A ``temperature``
    of 0 is greedy, a ``batch_size`` of 0 as many as fit. ``of_job`` and ``of_step`` say whose
    checkpoint it is."""

    model: str = ""
    adapter: str = ""
    way: str = ANSWERS
    files: Sequence[str] = field(default_factory=list)
    limit: int | None = None
    reward_file: str = ""
    reward_name: str = ""
    reward_kwargs: Mapping[str, Any] = field(default_factory=dict)
    samples: int = 1
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = -1
    seed: int = 0
    max_prompt_tokens: int | None = None
    max_new_tokens: int = 512
    batch_size: int = 0
    template: str = ""
    template_kwargs: Mapping[str, Any] = field(default_factory=dict)
    tasks: Sequence[str] = field(default_factory=list)
    task_files: Sequence[str] = field(default_factory=list)
    few_shot: int | None = None
    backend: str = "auto"
    dtype: str = ""
    gpus: int = 0
    of_job: int | None = None
    of_step: int | None = None

    @property
    def kind(self) -> str:
        return Evaluate.slug

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def to_node(self) -> dict[str, Any]:
        """As ``trainyard_node.evaluating`` reads it: what has its default is left out."""
        usual = EvaluateSpec()
        return {
            name: value
            for name, value in asdict(self).items()
            if name not in OF_THE_SITE and (name == "way" or value != getattr(usual, name))
        }


class Evaluate(ModelMaker):
    slug: ClassVar[str] = "evaluate"
    label: ClassVar[str] = "Evaluation"
    unit: ClassVar[str] = "prompt"
    units: ClassVar[str] = "prompts"
    done: ClassVar[str] = "evaluated"
    base_model: ClassVar[str] = "model"
    can_look: ClassVar[bool] = True
    panels: ClassVar[Sequence[str]] = ("evaluation", "charts", "log", "system", "events", "config")
    writes_answers = True

    def read(self, data: Mapping[str, Any]) -> EvaluateSpec:
        known = {each.name for each in fields(EvaluateSpec)}
        return EvaluateSpec(**{name: value for name, value in data.items() if name in known})

    def command(
        self, spec: EvaluateSpec, placement: Placement, origins: Mapping[str, str]
    ) -> Command:
        text, target = json.dumps(spec.to_node()), f"{placement.run_dir}/{FOLDER}"
        made = self.program(placement, "evaluating", "--text", text, "--out", target)
        return replace(made, env=_env(spec, made.env))

    def judge(self, spec: EvaluateSpec, end: End) -> Verdict:
        said = end.said.get(self.done)
        if end.exit_code != 0 or said is None:
            return self.not_made(end)
        return Verdict("completed", f"{'; '.join(_found(spec, said))}.")

    def devices(self, spec: EvaluateSpec) -> int:
        return spec.gpus

    def makes(self, spec: EvaluateSpec) -> Sequence[Product]:
        return (Product(REPORT, FOLDER),)

    def newest_model(self, files: Any, read: Any) -> str | None:
        return None

    def reads(self, spec: EvaluateSpec) -> Reads:
        files = {name: path for name, path in _files(spec).items() if path}
        adapter = {"adapter": spec.adapter} if spec.adapter else {}
        if step_in(spec.model) is None:
            return Reads(files=files, models={self.base_model: spec.model}, inputs=adapter)
        return Reads(files=files, inputs={"checkpoint": spec.model, **adapter})

    def placed(self, spec: EvaluateSpec, paths: Mapping[str, str]) -> EvaluateSpec:
        there = {**_files(spec), self.base_model: spec.model, **paths}
        return replace(
            spec,
            model=there[self.base_model],
            reward_file=there[REWARD],
            files=[there[f"{FILE} {nr}"] for nr, _ in enumerate(spec.files, 1)],
            task_files=[there[f"{TASK_FILE} {nr}"] for nr, _ in enumerate(spec.task_files, 1)],
        )

    def cannot_save(self, spec: EvaluateSpec) -> str:
        return (
            f"{self.label} cannot be paused, nor saved on the way. Stop it: the answers that are "
            "there are kept, and it goes on after them when it is resumed."
        )

    def key_metrics(self, spec: EvaluateSpec) -> Sequence[str]:
        return FIRST.get(spec.way, ())


def _files(spec: EvaluateSpec) -> dict[str, str]:
    """The files by the names that ``reads`` gives them."""
    data = {f"{FILE} {nr}": path for nr, path in enumerate(spec.files, 1)}
    tasks = {f"{TASK_FILE} {nr}": path for nr, path in enumerate(spec.task_files, 1)}
    return {**data, **tasks, REWARD: spec.reward_file}


def _env(spec: EvaluateSpec, env: Mapping[str, str]) -> dict[str, str]:
    """Its GPUs are those that it was given, and the hub is asked where the spec names what may be
    there only."""
    dropped = {"CUDA_VISIBLE_DEVICES"} if spec.gpus else set()
    if spec.tasks or HUB_NAME.fullmatch(spec.model):
        dropped.add("HF_HUB_OFFLINE")
    return {name: value for name, value in env.items() if name not in dropped}


def _found(spec: EvaluateSpec, said: Mapping[str, Any]) -> Iterator[str]:
    """What came of it, and what went wrong on the way. A run may tell anything."""
    counts, metrics = _mapping(said.get("counts")), _mapping(said.get("metrics"))
    prompts = counts.get("prompts")
    yield f"Evaluated on {counted(prompts, 'prompt')}" if type(prompts) is int else "Evaluated"
    named = [name for name in (*FIRST.get(spec.way, ()), *metrics) if name in metrics]
    for name in named[:1]:
        if (value := as_number(metrics[name])) is not None:
            yield f"{name} {value:.6g}"
    for name, what in {"failed_scores": "could not be scored", "too_long": "too long"}.items():
        count = counts.get(name)
        if type(count) is int and count > 0:
            yield f"{count} {what}"


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
