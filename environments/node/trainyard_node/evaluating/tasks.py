"""Tasks of lm-eval: which there are, what is wrong with one, and their documents.

lm-eval lies in a folder of its own beside verl (`environments/verl-0.9/requirements-eval.txt`), so
that the training environment stays what its lock says.
"""

import ast
import difflib
import importlib.metadata
import importlib.util
import itertools
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import trainyard_node
from trainyard_node.evaluating.spec import Asked
from trainyard_node.export.refused import Refused

FOLDER = "lm-eval"  # below the environment
PINS = "verl-0.9/requirements-eval.txt"
SHOWN = 400  # characters of what another's code said
MOST_DATA = 10_000  # names of data in a task file, with the lists that hold them
MOST_SOURCES = 1000  # files that make a task
FUNCTION = re.compile(r"!function\s+['\"]?([\w./-]+)\.\w+")
INCLUDED = re.compile(r"[\w./~-]+\.ya?ml\b")
DATA = ("json", "csv", "parquet", "text", "arrow", "pandas")  # what reads files


def find() -> str:
    """Let Python find lm-eval; its version. Raises Refused where it is not installed."""
    beside = str(Path(sys.prefix, FOLDER))
    if importlib.util.find_spec("lm_eval") is None and beside not in sys.path:
        sys.path.append(beside)
        importlib.invalidate_caches()
    if importlib.util.find_spec("lm_eval") is None:
        pins = Path(trainyard_node.__file__).parents[2] / PINS
        raise Refused(
            "lm-eval is not installed in this environment. Install it: "
            f"{sys.executable} -m pip install --no-deps --target {beside} -r {pins}"
        )
    return importlib.metadata.version("lm_eval")


def offline() -> None:
    """Where the hub may not be asked, its data sets are those in the cache."""
    if os.environ.get("HF_HUB_OFFLINE") == "1":
        os.environ.setdefault("HF_DATASETS_OFFLINE", "1")


def load(asked: Asked) -> dict[str, Any]:
    """The tasks with their documents, as lm-eval loads them. Raises Refused for a name that it does
    not know, a file that does not parse, and data that is not here."""
    from lm_eval.tasks import TaskManager

    own = {path: read_task(Path(path), asked.files) for path in asked.task_files}
    # Its index of all tasks takes seconds to read.
    manager = TaskManager(include_defaults=bool(asked.tasks))
    for name in asked.tasks:
        if not manager.match_tasks([name]):
            raise Refused(f"lm-eval knows no task {name!r}.{_near(name, manager.all_tasks)}")
    loaded: dict[str, Any] = {"tasks": {}, "groups": {}, "group_map": {}}
    for what, spec in _wanted(asked.tasks, own, manager):
        found = _loaded(manager, what, spec)
        for part, there in loaded.items():
            if twice := sorted(there.keys() & found.get(part, {}).keys()):
                raise Refused(f"The task {twice[0]} is named twice.")
            there.update(found.get(part, {}))
    for name, task in loaded["tasks"].items():
        if getattr(task, "UNSAFE_CODE", False):
            raise Refused(f"The task {name} runs code that the model writes: it is not run here.")
    return loaded


def version_of(task: Any) -> str:
    """The version that a task says that it has; empty where it says none."""
    said = (getattr(task.config, "metadata", None) or {}).get("version", "")
    return str(said)


def data_of(task: Any) -> list[str]:
    """The files here that a task reads."""
    named = (getattr(task.config, "dataset_kwargs", None) or {}).get("data_files", [])
    return [path for path in _flat(named) if Path(path).is_file()]


def sources_of(path: Path) -> list[str]:
    """A task file with all that makes it: the YAML that it includes, the Python of their functions,
    the Python beside that and what these import, where these files lie below the same folder. They
    are found by their texts, so that one that is named in a comment counts, too. Raises Refused."""
    found, left, root = dict[str, None](), [path], path.resolve().parent
    while left:
        file = left.pop(0).resolve()  # two files may include each other
        if str(file) in found or not file.is_file():
            continue
        found[str(file)] = None
        if len(found) > MOST_SOURCES:
            raise Refused(f"The task file {path} is made of more than {MOST_SOURCES} files.")
        text = file.read_text(encoding="utf-8", errors="replace")
        if file.suffix == ".py":
            left += [*sorted(file.parent.glob("*.py")), *_imported(file, text, root)]
            continue
        left += [file.parent / f"{name.replace('.', '/')}.py" for name in FUNCTION.findall(text)]
        left += [file.parent / name for name in INCLUDED.findall(text)]
    return list(found)


def _imported(file: Path, text: str, root: Path) -> Iterator[Path]:
    """The modules below the folder of a file, or of its task, that it imports: each, or all of its
    package."""
    for level, name in _names(text):
        own = file.parents[min(max(0, level - 1), len(file.parents) - 1)]
        for folder in {own: None} if level else {own: None, root: None}:
            where = folder
            for part in filter(None, name.split(".")):
                where = where / part
                yield where.with_name(f"{part}.py")
                yield from sorted(where.glob("*.py"))


def _names(text: str) -> Iterator[tuple[int, str]]:
    """What Python imports, and the dots before it. Of what is no Python lm-eval says so itself."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((0, each.name) for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = f"{node.module}." if node.module else ""
            yield from ((node.level, f"{module}{each.name}") for each in node.names)


def _flat(named: Any) -> Iterator[str]:
    if isinstance(named, str):
        yield named
    elif isinstance(named, Mapping | list):
        for each in named.values() if isinstance(named, Mapping) else named:
            yield from _flat(each)


def _wanted(
    names: Sequence[str], own: Mapping[str, Any], manager: Any
) -> Iterator[tuple[str, Any]]:
    for name in manager.match_tasks(list(names)) if names else ():
        yield f"The task {name}", name
    for path, config in own.items():
        yield f"The task file {path}", config


def read_task(path: Path, files: Sequence[str]) -> dict[str, Any]:
    """The task that a file describes. Its data files are those that it names, from its folder on,
    or of the same name among `files`. Raises Refused."""
    from lm_eval.tasks._yaml_loader import load_yaml

    try:
        config = load_yaml(path, resolve_func=True)
    except Exception as error:  # YAML's own, and what a function's file raises
        raise Refused(f"The task file {path} cannot be read: {_words(error)}") from error
    if not isinstance(config, dict) or not isinstance(config.get("task"), str):
        raise Refused(f"The task file {path} names no task: it has a line `task: NAME`.")
    settings = config.get("dataset_kwargs")
    if isinstance(settings, Mapping) and "data_files" in settings:
        try:
            _check_size(settings["data_files"], path)
            there = _data(settings["data_files"], path, files)
        except RecursionError as error:
            raise Refused(f"The task file {path} names data within itself.") from error
        config = {**config, "dataset_kwargs": {**settings, "data_files": there}}
    elif config.get("dataset_path") in DATA:
        raise Refused(f"The task file {path} names no data_files.")
    return config


def _check_size(named: Any, path: Path) -> None:
    """Lists that name each other by YAML's aliases hold very much in few lines."""
    seen = sum(1 for _ in itertools.islice(_all_in(named), MOST_DATA + 1))
    if seen > MOST_DATA:
        raise Refused(f"The task file {path} names more than {MOST_DATA} files of data.")


def _all_in(named: Any) -> Iterator[Any]:
    yield named
    if isinstance(named, Mapping | list):
        for each in named.values() if isinstance(named, Mapping) else named:
            yield from _all_in(each)


def _data(named: Any, path: Path, files: Sequence[str]) -> Any:
    if isinstance(named, Mapping):
        return {split: _data(each, path, files) for split, each in named.items()}
    if isinstance(named, list):
        return [_data(each, path, files) for each in named]
    if not isinstance(named, str):
        raise Refused(f"The task file {path} names data that is no path: {named!r}.")
    if "://" in named:
        return named
    sent = [file for file in files if Path(file).name == Path(named).name]
    beside = path.parent / named  # of an absolute path, that path
    found = str(beside) if beside.is_file() else next(iter(sent), None)
    if found is None:
        raise Refused(
            f"The task file {path} names the data {named}, and there is no such file: neither at "
            f"{beside} nor among the files that are given."
        )
    return found


def _loaded(manager: Any, what: str, spec: Any) -> dict[str, Any]:
    try:
        found: dict[str, Any] = manager.load([spec])
    except Exception as error:  # each task and data set has its own
        said = _words(error)
        if _is_away(error):
            raise Refused(
                f"{what} needs data that is not here and cannot be brought: {said}. Use a machine "
                "that reaches the hub, or a task file with data_files of your own."
            ) from error
        raise Refused(f"{what} cannot be loaded: {said}") from error
    if not found.get("tasks"):
        raise Refused(f"{what} has no task.")
    return found


def _is_away(error: BaseException) -> bool:
    words = ("ConnectionError", "OfflineModeIsEnabled", "LocalEntryNotFoundError", "couldn't reach",
             "Couldn't reach", "offline")  # fmt: skip
    text = f"{type(error).__name__} {error}"
    return any(word in text for word in words)


def _near(name: str, names: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, names, 3)
    return f" Did you mean {' or '.join(near)}?" if near else ""


def _words(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:SHOWN].rstrip(".: ")
