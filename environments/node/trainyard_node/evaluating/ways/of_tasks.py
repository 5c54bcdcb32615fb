"""The way `tasks`: benchmarks, and tasks of one's own, by lm-eval."""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from trainyard_node.evaluating import engines, model, tasks
from trainyard_node.evaluating.journal import Journal, Line
from trainyard_node.evaluating.place import Place
from trainyard_node.evaluating.program import Work, kept_in_words
from trainyard_node.evaluating.result import digest_of
from trainyard_node.evaluating.spec import Asked
from trainyard_node.export.refused import Refused
from trainyard_node.export.told import Told

KEPT = ".answers.jsonl"
ROUGHLY = 256  # tokens of a request, to say how many fit at once


def look(asked: Asked, folder: Path) -> dict[str, Any]:
    """What would be asked. Raises Refused."""
    version = tasks.find()
    tasks.offline()
    loaded = tasks.load(asked)
    model.describe(asked)
    from trainyard_node.evaluating import harness

    return {
        "prompts": harness.documents(loaded["tasks"], asked.limit), "lm_eval": version,
        "tasks": sorted(loaded["tasks"]),
    }  # fmt: skip


def run(asked: Asked, place: Place, told: Told) -> None:
    """Run the tasks. Raises Refused."""
    work = Work(asked, place, told, lm_eval=tasks.find())
    tasks.offline()
    loaded = tasks.load(asked)
    described = model.describe(asked)
    from trainyard_node.evaluating import harness

    harness.prepare(loaded["tasks"], asked)
    same = _same(asked, loaded["tasks"], work.lm_eval)
    kept: dict[str, Any] = {}
    journal, before = place.go_on(
        work.state(same, described), place.folder / KEPT, _key,
        lambda line: kept.update({line["key"]: line["answer"]}),
    )  # fmt: skip
    total = harness.documents(loaded["tasks"], asked.limit)
    progress = work.progress(total, kept_in_words(before, "answers"))
    work.part("prepare")
    weights = model.load(described, asked.dtype)
    work.dtype = str(weights.dtype).removeprefix("torch.")
    batch = asked.batch_size or min(engines.most_of(weights),
                                    max(1, engines.room_of(weights) // ROUGHLY))  # fmt: skip
    asked_of = harness.model_of(weights, described.tokenizer, batch, asked.template)
    asked_of.keeper = harness.Keeper(journal, kept, progress)
    asked_of.set_cache_hook(asked_of.keeper)
    work.part("load")
    found = _ran(harness, asked_of, loaded, asked)
    journal.close()
    work.part("generate")
    scores = _write_rows(harness, found, place, asked)
    if unknown := sum(line["scores"] == [None] for line in scores):
        work.left_out.append(f"{unknown} of {len(scores)} documents have no score of their own: "
                             "what is averaged otherwise is in the metrics alone.")  # fmt: skip
    counts = {
        "prompts": len(scores), "answers": harness.answers_of(found), "failed_scores": 0,
        "too_long": 0, "clipped": 0, "empty": 0,
    }  # fmt: skip
    work.left_out.append(
        "lm-eval cuts a prompt that is longer than the model reads at its left, and does not say "
        "which."
    )
    digest = digest_of([line["prompt"] for line in scores])
    of = {"digest": digest, "prompts": len(scores), "name": ", ".join(sorted(loaded["tasks"]))}
    sides = harness.sides_of(found)
    work.end(progress, same, of, harness.metrics_of(found), counts, scores, sides)
    (place.folder / KEPT).unlink(missing_ok=True)


def _ran(harness: Any, asked_of: Any, loaded: Mapping[str, Any], asked: Asked) -> dict[str, Any]:
    try:
        found: dict[str, Any] = harness.run(asked_of, loaded, asked)
    except Exception as error:  # a task's own code raises what it likes
        said = " ".join(str(error).split())[:400]
        raise Refused(f"lm-eval cannot run the tasks: {type(error).__name__}: {said}") from error
    return found


def _same(asked: Asked, loaded: Mapping[str, Any], version: str | None) -> dict[str, Any]:
    data = [path for task in loaded.values() for path in tasks.data_of(task)]
    own = [path for file in asked.task_files for path in tasks.sources_of(Path(file))]
    files = _digests([*own, *data])
    return {
        "tasks": {name: tasks.version_of(task) for name, task in loaded.items()},
        "files": files, "lm_eval": version, "few_shot": asked.few_shot, "limit": asked.limit,
        "template": asked.template, "seed": asked.seed,
    }  # fmt: skip


def _digests(paths: Sequence[str]) -> dict[str, str]:
    """By the names of the files, wherever they lie; another of the same name has a number."""
    found: dict[str, str] = {}
    for path in dict.fromkeys(paths):
        name, digest = Path(path).name, _digest(path)
        names = [name, *(f"{name} {nr}" for nr in range(2, len(paths) + 1))]
        free = next(each for each in names if found.get(each, digest) == digest)
        found[free] = digest
    return found


def _digest(path: str) -> str:
    try:
        return sha256(Path(path).read_bytes()).hexdigest()
    except OSError as error:
        raise Refused(f"{path} cannot be read: {error.strerror}.") from error


def _write_rows(harness: Any, found: Mapping[str, Any], place: Place, asked: Asked) -> list[Line]:
    path = place.rows(asked.of_step)
    path.unlink(missing_ok=True)
    rows, scores = Journal(path), []
    for row, line in harness.rows_of(found, asked.of_step or 0):
        rows.keep([row])
        scores.append(line)
    rows.close()
    return scores


def _key(line: Line) -> str | None:
    key = line.get("key")
    return key if isinstance(key, str) and "answer" in line else None
