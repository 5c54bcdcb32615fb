"""What can be known of an evaluation before its start: the rows, the reward, the tasks, the
template. Each refusal names its field."""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from compute.machines.local import local_machine
from compute.models import Machine
from datasets.formats.rl_rows import COLUMNS, rl_rows
from datasets.formats.scorers import scorer_of
from datasets.formats.tokenizer_dir import NoTemplate, read_tokenizer
from datasets.models import Target, Version
from evaluations.kinds.evaluate import ANSWERS, LOSS
from jobs.rewards.before_submit import check_function
from jobs.rewards.paths import reward_path
from platform_site.bounded.calls import bounded
from platform_site.paths import inside
from surgery.making.checks import CONFIGS
from surgery.making.forms import Wrong

LARGEST_TASK = 2**20  # bytes
MOST_VISITED = 10_000  # parts of what a task file says of its data, those that it names twice too
TRIED = 3  # rows by which a reward function is tried
# From a path to the real one, where the user may read it: it raises ``ValueError``.
Read = Callable[[str], Path]
FITS: Mapping[str, Sequence[str]] = {
    ANSWERS: (Target.RL, Target.SFT), LOSS: (Target.SFT,),
}  # fmt: skip
NEEDS = {ANSWERS: "prompts with answers (RL), or conversations", LOSS: "conversations (SFT)"}


def rows_file(version: Version | None, part: str, way: str) -> str:
    """The file of rows that is read. Raises ``Wrong``."""
    if version is None:
        raise Wrong("dataset", "Choose a version of a data set: its rows are what is asked.")
    if version.target not in FITS[way]:
        has = Target(version.target).label
        raise Wrong("dataset", f"{version} holds {has}; this way reads {NEEDS[way]}.")
    file = version.train_file if part == "train" else version.val_file
    if not file and part == "train":
        raise Wrong("part", f"{version} has no rows for training.")
    if not file:
        raise Wrong("part", f"{version} has no rows for validation. Take those for training.")
    return file


def check_reward(
    path: str, name: str, kwargs: Mapping[str, Any], rows: str, target: str, read: Read
) -> None:
    """Raises ``Wrong`` where the answers to these rows cannot be scored."""
    found = _first_rows(rows, target)
    if path:
        try:
            reward_path(path, read)
        except (OSError, ValueError) as error:
            raise Wrong("reward_file", str(error)) from error
        if problems := check_function(path, name or "compute_score", found, kwargs):
            raise Wrong("reward_file", " ".join(problems))
        return
    if target != Target.RL:
        raise Wrong("reward_file", "Conversations name no data source by which verl's own function "
                    "could score: name a reward function, or choose a version of RL.")  # fmt: skip
    for row in found:
        if scorer_of(str(row.get("data_source"))) is None:
            raise Wrong("reward_file", "verl has no function of its own for the data source "
                        f"{row.get('data_source')!r}: name a reward function.")  # fmt: skip


def _first_rows(path: str, target: str) -> list[dict[str, Any]]:
    """As rows of RL: of a conversation, the last answer is the truth."""
    is_rl = target == Target.RL
    try:
        found = bounded(rl_rows, inside(path), TRIED, COLUMNS if is_rl else ("messages",))
    except ValueError as error:
        raise Wrong("dataset", str(error)) from error
    return found if is_rl else [_as_rl(row["messages"]) for row in found if row["messages"]]


def _as_rl(messages: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    truth = messages[-1].get("content")
    return {"prompt": [*messages[:-1]], "reward_model": {"ground_truth": truth}}


def check_template(models: Sequence[str], machine: Machine) -> None:
    """Raises ``Wrong`` where a model of this machine has no chat template of its own."""
    if machine.pk != local_machine().pk:
        return
    for model in models:
        if not model.startswith("/"):
            continue
        with suppress(ValueError, OSError):
            _has_template(model)


def _has_template(model: str) -> None:
    folder = inside(model)
    holding = ((folder / name).parent for name in CONFIGS)
    for tokenizer in (each for each in holding if (each / "tokenizer_config.json").is_file()):
        try:
            read_tokenizer(tokenizer)
        except NoTemplate as error:
            raise Wrong("template", f"{error} Or write a template here.") from error
        return


def task_files(text: str, machine: Machine, read: Read) -> list[str]:
    """The paths of own tasks, each of which can be read. Raises ``Wrong``."""
    paths = [line.strip() for line in text.splitlines() if line.strip()]
    if paths and not machine.is_local:
        raise Wrong("task_files", f"Own tasks run on this machine alone: what a task file names, "
                    f"such as its data, is not sent to {machine.name}.")  # fmt: skip
    return [_task_file(path, read) for path in dict.fromkeys(paths)]


def _task_file(path: str, read: Read) -> str:
    try:
        real = read(path)
        if not real.is_file():
            raise ValueError(f"There is no file {path}.")
        with real.open("rb") as opened:
            text = opened.read(LARGEST_TASK + 1)
    except (OSError, ValueError) as error:
        raise Wrong("task_files", str(error) or f"{path} cannot be read.") from error
    if len(text) > LARGEST_TASK:
        raise Wrong("task_files", f"{path} is too large for a task file.")
    _check_task(path, real, text, read)
    return path


def _check_task(path: str, real: Path, text: bytes, read: Read) -> None:
    try:
        data = yaml.load(text, Loader=_TaskLoader)  # noqa: S506 (it makes no objects)
    except Exception as error:  # what a tag makes of a value that does not fit raises what it likes
        where = getattr(error, "problem_mark", None)
        at = f", at line {where.line + 1}" if where else ""
        why = getattr(error, "problem", None) or type(error).__name__
        raise Wrong("task_files", f"{path} is no YAML{at}: {why}.") from error
    name = data.get("task") if isinstance(data, dict) else None
    if not isinstance(name, str) or not name:
        raise Wrong("task_files", f"{path} is no task of lm-eval: it has no line task: NAME.")
    files = data.get("dataset_kwargs")
    files = files.get("data_files") if isinstance(files, dict) else None
    for file in (each for each in _names(files, path) if "://" not in each):
        try:
            there = read(str(real.parent / file)).exists()
        except (OSError, ValueError) as error:
            raise Wrong("task_files", f"{path} names data that is not open: {error}") from error
        if not there:
            raise Wrong("task_files", f"{path} names the data {file}, which is not here.")


def _names(value: Any, path: str) -> Iterator[str]:
    """The texts within. YAML may name one part in many places, also within itself."""
    left, visited = [value], 0
    while left:
        part, visited = left.pop(), visited + 1
        if visited > MOST_VISITED or len(left) > MOST_VISITED:
            raise Wrong("task_files", f"{path} names too many files of data.")
        if isinstance(part, str):
            yield part
        elif isinstance(part, dict | list):
            left += part.values() if isinstance(part, dict) else part


class _TaskLoader(yaml.SafeLoader):
    """lm-eval's task files name functions (``!function``), which only lm-eval itself loads."""


def _nothing(_loader: Any, _suffix: str, _node: Any) -> None:
    return None


_TaskLoader.add_multi_constructor("!", functools.partial(_nothing))
