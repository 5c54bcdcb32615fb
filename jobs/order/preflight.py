"""Inspect the files that a spec names, and find what would fail, before anything starts."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from django.conf import settings

from compute.machines.local import local_machine
from compute.machines.packages import lacking_packages
from datasets.formats.parquet import ParquetFacts, column_problem, read_facts
from datasets.formats.sources import unscored
from jobs.files.model_folders import hub_cache, model_folder
from jobs.order import lengths, rendering
from jobs.process import Command, Setting
from jobs.rewards.paths import reward_path
from jobs.verl import checks, schema
from jobs.verl.algorithms import algorithm_of
from jobs.verl.batches import check_batches, check_heads
from jobs.verl.contradictions import check_contradictions
from jobs.verl.lint import check_companions
from jobs.verl.model_dir import HUB_NAME, ModelFolder, cached_model, inspect_model
from jobs.verl.overrides import readable
from jobs.verl.quantised import PACKAGES
from jobs.verl.releases import BEFORE_09, refusal
from jobs.verl.saved_model import saves_model
from jobs.verl.spec import Problem, TrainSpec
from jobs.verl.steps import promised, rows_used, steps_per_epoch
from platform_site.bounded.calls import of_file
from platform_site.bounded.limits import TooMuch
from platform_site.counts import counted
from platform_site.paths import allowed, inside


@dataclass
class Preflight:
    spec: TrainSpec
    knows_model: bool = True  # false if another job is still to save the model
    is_here: bool = True  # false if the run's own machine looks for models at the start
    command: Callable[[], Command] | None = None  # gives the command of the run, to look at it
    read: Callable[[str], Path] = inside  # the real path of what may be read for whoever asks

    @cached_property
    def problems(self) -> list[Problem]:
        spec = self.spec
        reason = refusal(spec.kind, spec.verl, str(spec.values.get("device")))
        if reason:  # this release may have no keys to check against
            return [Problem("machine", reason)]
        known = schema.load(settings.TRAINYARD_VERL_SCHEMA, spec.kind, spec.verl)
        found = list(checks.check_overrides(spec, known))
        found += checks.check_paths(spec, self._why_not)
        found += self._files()
        found += check_contradictions(self.spec)
        found += check_batches(self.spec)
        if found:  # the later checks would only repeat this or mislead
            return found
        found += check_companions(spec, known, self._settings())
        found += checks.check_context(self.spec, self.model.context)
        found += check_heads(self.spec, self.model.heads)
        found += checks.check_validation(self.spec, self._data("val_files")[0].rows)
        return found + list(checks.check_rows(self.spec, self.rows))

    def _settings(self) -> Sequence[Setting] | None:
        try:
            return self.command().settings if self.command else None
        except ValueError:  # it cannot lie on its machine, which is told elsewhere
            return None

    @cached_property
    def model(self) -> ModelFolder:
        if not (self.knows_model and self.is_here):
            return ModelFolder()
        return find_model(str(self.spec.values["model_path"]), self.read)

    @property
    def rendered(self) -> list[lengths.Told]:
        """Rows that the model's own template refuses, or that are too long. It takes seconds: ask
        it at the end."""
        if not self.knows_model:
            return []
        folder = model_folder(str(self.spec.values["model_path"]))
        return rendering.look(self.spec, folder) if folder else []

    @property
    def known(self) -> list[lengths.Told]:
        """What a check of the data has found of rows that are too long."""
        long = lengths.known(self.spec) if self.knows_model else None
        return [lengths.told(self.spec, long)] if long else []

    @cached_property
    def rows(self) -> int:
        return self._data("train_files")[0].rows

    @property
    def steps(self) -> int:
        return promised(self.spec, self.rows)

    @property
    def steps_note(self) -> str:
        used = rows_used(self.spec, self.rows)
        per_epoch = steps_per_epoch(self.spec, used)
        return f"{counted(used, 'row')}, {counted(per_epoch, 'step')} an epoch"

    def _files(self) -> Iterator[Problem]:
        for field in ("train_files", "val_files"):
            try:
                _, message = self._data(field)
            except ValueError as error:
                message = str(error)
            if message:
                yield Problem(field, message)
        for field in ("model_path", "critic_model", "reward_model"):
            folder = self._model(field)
            if problem := folder.problem or self._unfit(field, folder):
                yield Problem(field, problem)
        yield from self._reward()

    def _why_not(self, path: str) -> str:
        """Why a path of an override may not be read; a path of the run's own folder may be."""
        if (real := allowed(path)) is None:
            return f"{path} lies outside the allowed folders; see TRAINYARD_PATHS."
        try:
            self.read(str(real))
        except ValueError as error:
            return str(error)
        return ""

    def _model(self, field: str) -> ModelFolder:
        text = str(self.spec.values.get(field) or "")
        if field == "model_path":
            return self.model
        return find_model(text, self.read) if text and self.is_here else ModelFolder()

    def _unfit(self, field: str, folder: ModelFolder) -> str:
        """Why a model that is whole cannot be used as this field wants."""
        trained = field == "model_path"
        if trained and folder.headless and self.spec.verl not in BEFORE_09:
            return folder.headless
        if trained and folder.unsaved and saves_model(self.spec):
            return folder.unsaved
        return lacks_package(folder.quantised)

    def _data(self, field: str) -> tuple[ParquetFacts, str | None]:
        kind = algorithm_of(self.spec.kind)
        facts = of_file(read_facts, self.read(str(self.spec.values[field])))
        return facts, column_problem(kind.target, facts, self._renamed(), kind.label)

    def _renamed(self) -> dict[str, str]:
        """Columns that a free override renames, such as by ``data.prompt_key``."""
        return {
            override.key.removeprefix("data.").removesuffix("_key"): str(override.value)
            for override in readable(self.spec.overrides)
            if override.key in ("data.messages_key", "data.prompt_key")
        }

    def _reward(self) -> Iterator[Problem]:
        path = str(self.spec.values.get("reward_file") or "")
        if not path:
            yield from self._scorers()
            return
        try:
            reward_path(path, self.read)
        except (OSError, ValueError) as error:
            yield Problem("reward_file", str(error))

    def _scorers(self) -> Iterator[Problem]:
        """Without a function, verl scores by the rows' data source: it must know each."""
        if not checks.scores_by_source(self.spec):
            return
        for field in ("train_files", "val_files"):
            try:
                unknown = of_file(unscored, self.read(str(self.spec.values[field])))
            except ValueError:
                continue  # reported already
            if unknown:
                names = ", ".join(unknown)
                what = f"verl has no scorer for the data source {names} of {field}"
                yield Problem("reward_file", f"{what}: name a reward function.")


def lacks_package(method: str) -> str:
    """Why this machine cannot load weights that are quantised in this way; empty if it can."""
    if not method:
        return ""
    if method not in PACKAGES:
        return f"config.json quantises the weights by {method}, which transformers does not load."
    needed = PACKAGES[method]
    lacking = lacking_packages(local_machine(), needed) if needed else frozenset[str]()
    if not lacking:
        return ""
    names = " ".join(name for name in needed if name in lacking)
    return (
        f"The weights are quantised by {method}, and the training environment has no {names}. "
        "Take the model that is not quantised, or install that."
    )


def find_model(text: str, read: Callable[[str], Path] = inside) -> ModelFolder:
    """Inspect a model, given as a folder or as a hub name in this machine's cache."""
    if HUB_NAME.fullmatch(text):
        snapshot = cached_model(text, hub_cache())
        if snapshot is None:
            return ModelFolder(
                f"{text} is neither a folder nor in this machine's Hugging Face cache. "
                f"Fetch it first: hf download {text}"
            )
        return _inspected(snapshot)
    try:
        return _inspected(read(text))
    except ValueError as error:
        return ModelFolder(str(error))


def _inspected(folder: Path) -> ModelFolder:
    try:
        return of_file(inspect_model, folder)
    except TooMuch as error:
        return ModelFolder(f"{folder} cannot be looked at. {error}")
