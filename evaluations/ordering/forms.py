"""What is evaluated, by what, and how: one form of the page and of the command."""

import uuid as uuids
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import PurePosixPath
from typing import Any

from django.contrib.auth.models import User

from evaluations.kinds.evaluate import ANSWERS, TASKS, EvaluateSpec
from evaluations.ordering import checks
from evaluations.ordering.fields import (
    MOST,
    OF_ANSWERS,
    OF_ROWS,
    OF_RUN,
    OF_TASKS,
    WAYS,
    EvaluateFields,
)
from jobs.artifacts.keeping import artifacts_at
from jobs.models import Artifact, Place
from jobs.verl.model_dir import HUB_NAME
from platform_site.paths import open_to
from surgery.kinds.steps import step_in
from surgery.making.checks import SurgeryError, check_adapters
from surgery.making.forms import MakeForm, Wrong, lines

USUAL = EvaluateSpec()
# By the name of the spec, where a field without a value leaves what is usual.
PLAIN = (
    "limit", "samples", "temperature", "top_p", "top_k", "seed", "max_prompt_tokens",
    "max_new_tokens", "few_shot", "backend", "dtype", "gpus", "batch_size", "template",
)  # fmt: skip
OF_ALL_WAYS = ("auto", "transformers")  # engines; the others only answer
GROUPS = (
    ("", ("models", "more_models", "adapter", "way")),
    ("Rows", OF_ROWS),
    ("Answers and their scores", OF_ANSWERS),
    ("Tasks", OF_TASKS),
    ("How it runs", (*OF_RUN, "machine", "name")),
)
WIDE = {
    "models", "more_models", "adapter", "way", "reward_file", "tasks", "task_files", "template",
}  # fmt: skip


class EvaluateForm(MakeForm, EvaluateFields):
    """``specs`` are what the jobs of the valid form are asked, one for each model."""

    specs: Sequence[EvaluateSpec] = ()

    def __init__(self, user: User, places: Sequence[Place], data: Any = None, **more: Any) -> None:
        super().__init__(user, data, **more)
        self.offer("models", places)
        fields = [name for _, names in GROUPS for name in names]
        self.order_fields(fields)

    @property
    def groups(self) -> list[tuple[str, list[tuple[Any, str]]]]:
        """The fields as the page shows them, each with the class of its width."""
        return [(title, self._with_widths(names)) for title, names in GROUPS]

    def _with_widths(self, names: Sequence[str]) -> list[tuple[Any, str]]:
        there = [name for name in names if name in self.fields]
        return [(self[name], "whole" if name in WIDE else "") for name in there]

    def asked(self, given: dict[str, Any]) -> EvaluateSpec:
        paths = list(dict.fromkeys([*given["models"], *lines(given["more_models"])]))
        if not 1 <= len(paths) <= MOST:
            raise Wrong("models", f"Choose from 1 to {MOST} models, not {len(paths)}.")
        folders = [path for path in paths if not HUB_NAME.fullmatch(path)]
        self.check_models("models", folders, given["machine"])
        common = self.common(given)
        self.specs = self._for_each(paths, replace(common, adapter=self._adapter(given, paths)))
        if given["way"] == ANSWERS and not given["template"]:
            checks.check_template(paths, given["machine"])
        return self.specs[0]

    def common(self, given: dict[str, Any]) -> EvaluateSpec:
        """What is asked of each model. Raises ``Wrong``."""
        plain = {name: given[name] for name in PLAIN if given[name] not in (None, "")}
        spec = EvaluateSpec(way=given["way"], **plain)
        if spec.top_k == 0:
            raise Wrong("top_k", "0 tokens leave nothing to choose from: -1 is all tokens.")
        if given["way"] != ANSWERS and spec.backend not in OF_ALL_WAYS:
            raise Wrong("backend", f"{WAYS[given['way']]}: that is computed by transformers alone.")
        if given["way"] == TASKS:
            return self._of_tasks(given, spec)
        version = self.dataset_version = given["dataset"]
        file = checks.rows_file(version, given["part"] or "val", given["way"])
        spec = replace(spec, files=[file])
        return self._of_answers(given, spec, file) if given["way"] == ANSWERS else spec

    def _of_tasks(self, given: dict[str, Any], spec: EvaluateSpec) -> EvaluateSpec:
        names = given["tasks"].replace(",", " ").split()
        read = partial(open_to, self.user)
        files = checks.task_files(given["task_files"], given["machine"], read)
        if not names and not files:
            raise Wrong("tasks", "Name a task, or a task file below.")
        return replace(spec, tasks=list(dict.fromkeys(names)), task_files=files)

    def _of_answers(self, given: dict[str, Any], spec: EvaluateSpec, file: str) -> EvaluateSpec:
        kwargs = given["reward_kwargs"] or {}
        if not isinstance(kwargs, dict):
            raise Wrong("reward_kwargs", 'Write a JSON object, such as {"strict": 1}.')
        if spec.samples > 1 and not spec.temperature:
            raise Wrong("temperature", f"{spec.samples} greedy answers to a prompt are one answer: "
                        "give a temperature above 0.")  # fmt: skip
        path, name = given["reward_file"].strip(), given["reward_name"].strip()
        read = partial(open_to, self.user)
        checks.check_reward(path, name, kwargs, file, given["dataset"].target, read)
        return replace(spec, reward_file=path, reward_name=name, reward_kwargs=kwargs)

    def _adapter(self, given: dict[str, Any], paths: Sequence[str]) -> str:
        adapter = str(given["adapter"].strip())
        if adapter and len(paths) > 1:
            raise Wrong("adapter", "An adapter lies on one model: choose one.")
        if adapter:
            try:
                check_adapters([adapter], given["machine"], self.user)
            except SurgeryError as error:
                raise Wrong("adapter", str(error)) from error
        return adapter

    def _for_each(self, paths: Sequence[str], common: EvaluateSpec) -> list[EvaluateSpec]:
        """With the run and the step of each that is a checkpoint."""
        machine = self.cleaned_data["machine"]
        known = artifacts_at(paths, {machine.pk: machine})
        return [_of(replace(common, model=path), known.get(path)) for path in paths]

    def default_name(self) -> str:
        return self.name_of(self.spec)

    def name_of(self, spec: EvaluateSpec) -> str:
        files = [PurePosixPath(file).name for file in spec.task_files]
        on = self.dataset_version or ", ".join([*spec.tasks, *files])[:80]
        adapter = f"{self.called(spec.adapter)} on " if spec.adapter else ""
        return f"Evaluation of {adapter}{self.called(spec.model)} on {on}"

    def uuid_of(self, spec: EvaluateSpec) -> uuids.UUID:
        """The first job has the number of the form; the same form twice makes the same jobs."""
        own: uuids.UUID = self.cleaned_data["uuid"]
        return own if spec == self.specs[0] else uuids.uuid5(own, spec.model)

    @property
    def way_label(self) -> str:
        return WAYS[self.cleaned_data["way"]]


def _of(spec: EvaluateSpec, artifact: Artifact | None) -> EvaluateSpec:
    """With the run and the step whose checkpoint it is, where it is one: with an adapter on it, it
    is no more."""
    if spec.adapter:
        return spec
    if artifact is None or artifact.kind != Artifact.Kind.CHECKPOINT:
        return replace(spec, of_step=step_in(spec.model))
    return replace(spec, of_job=artifact.job_id, of_step=artifact.step)
