"""Rows that are longer than a run takes: refused, left out or cut, said before the start."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets.formats.chat import ChatOptions
from datasets.formats.refused import Measured, measured
from datasets.formats.shown import TOKENIZERS
from datasets.models import Report, Version
from jobs.verl.algorithms import algorithm_of, has_answers
from jobs.verl.knobs import number, value_of
from jobs.verl.overrides import readable
from jobs.verl.spec import Problem, TrainSpec
from jobs.warning import FieldWarning
from platform_site.bounded.calls import call
from platform_site.bounded.limits import COUNTING, TooMuch
from platform_site.work.models import State

SPLITS = {"train_files": "training", "val_files": "validation"}
SAMPLES = ("data.train_max_samples", "data.val_max_samples")
Told = Problem | FieldWarning


@dataclass(frozen=True)
class TooLong:
    """``count`` is a number of rows or, where it is not known, "some"."""

    count: int | str
    of: int
    longest: int
    where: str
    is_part: bool = False  # there may be more rows, which may fit


def told(spec: TrainSpec, long: TooLong) -> Told:
    """What the run would do with rows that are too long: an error unless that was asked for."""
    is_prompt = has_prompts(spec)
    rows = "prompts" if is_prompt else "rows"
    what = (
        f"{str(long.count).capitalize()} of {long.of} {rows} of {long.where} have more than "
        f"{limit_of(spec)} tokens; the longest has {long.longest}"
    )
    if not is_prompt:
        if value_of(spec, "truncation") in ("left", "right"):
            return FieldWarning("truncation", f"{what}: they are cut.", "Rows that are too long")
        return Problem("max_length", f"{what}. Raise it, or have longer rows cut.")
    if not value_of(spec, "filter_overlong"):
        return Problem("max_prompt_length", f"{what}. Raise it, or drop long prompts.")
    if long.count == long.of and not long.is_part:
        return Problem("max_prompt_length", f"{what}: none would be left. Raise it.")
    return FieldWarning("filter_overlong", f"{what}: they are left out.", "Drop long prompts")


def has_prompts(spec: TrainSpec) -> bool:
    """Whether the data are prompts, whose answers the run makes itself."""
    return has_answers(spec.kind)


def limit_of(spec: TrainSpec) -> int:
    return number(spec, "max_prompt_length" if has_prompts(spec) else "max_length")


def known(spec: TrainSpec) -> TooLong | None:
    """From the newest check of the version that both files are of, by the tokenizer of the model
    that is trained."""
    values = spec.values
    files = {"train_file": values.get("train_files"), "val_file": values.get("val_files")}
    version = Version.objects.ready().filter(**files).first()
    if version is None or reads_some(spec):
        return None
    checks = version.reports.filter(state=State.DONE, model=str(values.get("model_path")))
    report = checks.first()
    return _of_report(report, limit_of(spec), version.label) if report else None


def _of_report(report: Report, limit: int, where: str) -> TooLong | None:
    lengths: Mapping[str, Any] = report.data.get("lengths") or {}
    if lengths.get("max", 0) <= limit:
        return None
    count = lengths["over"] if report.max_length == limit else "some"
    return TooLong(count, lengths["counted"], lengths["max"], where)


def look(
    spec: TrainSpec, model: Path, options: ChatOptions, files: Mapping[str, Path]
) -> list[Told]:
    """What is said of the first rows of each file, by the tokenizer of the model."""
    if reads_some(spec):
        return []
    asked = model, options, algorithm_of(spec.kind).target, files, limit_of(spec)
    try:
        found = call(COUNTING, TOKENIZERS, measured, *asked)
    except TooMuch as error:
        field = "max_prompt_length" if has_prompts(spec) else "max_length"
        return [FieldWarning(field, f"Nobody counted how long the rows are. {error}", "Lengths")]
    return [told(spec, _too_long(field, each)) for field, each in found.items() if each.over]


def _too_long(field: str, found: Measured) -> TooLong:
    first = "the first rows of the " if found.is_part else "the "
    where = f"{first}{SPLITS[field]} data"
    return TooLong(found.over, found.rows, found.longest, where, found.is_part)


def reads_some(spec: TrainSpec) -> bool:
    """Whether the run takes some of the rows only, and nobody knows here which."""
    return any(override.key in SAMPLES for override in readable(spec.overrides))
