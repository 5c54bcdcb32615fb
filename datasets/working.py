"""Long work on data: importing, compiling, checking and cleaning, each in its own process.

A task of the queue may take only two minutes and there are two workers, so a task only starts the
process. The process outlives the workers, and the row that it works on holds its state.
"""

import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

from django.conf import settings

from datasets import hub, lifecycle
from datasets.formats import check, clean, compile, source
from datasets.formats.columns import ColumnMapping
from datasets.formats.scorers import DATA_SOURCES
from datasets.lifecycle import Cancelled
from datasets.models import Report, Source, State, Version, Work

log = logging.getLogger(__name__)


def spawn(kind: str, pk: int) -> None:
    """Start the process that does a piece of work, in a session of its own."""
    logs = Path(settings.TRAINYARD_HOME) / "datasets"
    logs.mkdir(parents=True, exist_ok=True)
    argv = [sys.executable, "manage.py", "dataset", "work", kind, str(pk)]
    with (logs / "work.log").open("ab") as out:
        subprocess.Popen(
            argv, cwd=settings.BASE_DIR, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
            start_new_session=True,
        )  # fmt: skip


def run(kind: str, pk: int) -> bool:
    """Do waiting work to its end; false when it is gone or no longer waiting."""
    work = lifecycle.KINDS[kind]._default_manager.filter(pk=pk).first()
    if work is None or not lifecycle.claim(work):
        return False
    try:
        fields = _do(work)
    except Cancelled:
        lifecycle.end(work, State.CANCELLED)
    except (ValueError, OSError) as error:
        lifecycle.end(work, State.FAILED, error=_sentence(error))
    except Exception:  # a bug of ours: the row must not say "working" for ever
        log.exception("%s %s", kind, pk)
        told = "Something went wrong that Trainyard did not expect: see datasets/work.log."
        lifecycle.end(work, State.FAILED, error=told)
    else:
        lifecycle.end(work, State.READY, **fields)
        _tidy(work)
    return True


def _do(work: Work) -> dict[str, Any]:
    if isinstance(work, Source):
        return _import(work)
    if isinstance(work, Report):
        return _check(work)
    if isinstance(work, Version):
        return _clean(work) if work.parent else _compile(work)
    raise TypeError(work)


def _import(work: Source) -> dict[str, Any]:
    progress = lifecycle.progress_of(work)
    if work.origin == Source.Origin.HUB and not work.path:
        work.path = str(hub.fetch(work.name, work.folder.with_suffix(".hub"), progress))
        work.save(update_fields=["path"])
    name = Path(work.path).name if work.origin == Source.Origin.HUB else work.name
    facts = source.import_file(Path(work.path), work.folder, name=name, progress=progress)
    return {
        "facts": facts.to_json(),
        "rows": facts.rows,
        "sha256": facts.sha256,
        "size": facts.bytes_read,
        "done": facts.bytes_read,
        "total": facts.bytes_read,
    }


def _compile(work: Version) -> dict[str, Any]:
    if work.source is None:
        raise ValueError("There is no source to compile.")
    made = compile.compile_version(
        work.source.rows_file,
        work.folder,
        ColumnMapping.from_json(work.mapping),
        compile.Split(**work.options["split"]),
        progress=lifecycle.progress_of(work),
    )
    return _made(work, made)


def _clean(work: Version) -> dict[str, Any]:
    if work.parent is None:
        raise ValueError("There is no version to clean.")
    made = clean.clean_version(
        Path(work.parent.train_file),
        Path(work.parent.val_file) if work.parent.val_file else None,
        work.folder,
        work.target,
        work.options["drop"],
        lengths=lengths_of(work.options.get("model", ""), work.target),
        max_length=work.options.get("max_length"),
        known_sources=DATA_SOURCES,
        progress=lifecycle.progress_of(work),
    )
    return _made(work, made)


def _made(work: Version, made: compile.Compiled) -> dict[str, Any]:
    rows = made.rows_train + made.rows_val
    return {
        "train_file": str(work.folder / "train.parquet"),
        "val_file": str(work.folder / "val.parquet"),
        "rows_train": made.rows_train,
        "rows_val": made.rows_val,
        "rows_removed": sum(made.problem_counts.values()),
        "sha256": made.sha256,
        "problems": {"counts": made.problem_counts, "examples": made.examples},
        "done": rows,
        "total": rows,
    }


def _check(work: Report) -> dict[str, Any]:
    version = work.version
    report = check.check(
        Path(version.train_file),
        Path(version.val_file) if version.val_file else None,
        version.target,
        lengths=lengths_of(work.model, version.target),
        max_length=work.max_length,
        known_sources=DATA_SOURCES,
        progress=lifecycle.progress_of(work),
    )
    return {"data": report.to_json()}


def lengths_of(model: str, target: str) -> check.Lengths | None:
    """A function that counts rows' tokens with this model's tokenizer; None without a model."""
    if not model:
        return None
    from datasets.formats import tokens

    tokenizer = tokens.load(Path(model))
    return lambda rows: tokenizer.lengths(rows, target)


def _tidy(work: Work) -> None:
    """Remove the uploaded or fetched file; the rows and the original's SHA-256 stay."""
    if isinstance(work, Source) and work.origin != Source.Origin.FOLDER and work.path:
        Path(work.path).unlink(missing_ok=True)
        Source.objects.filter(pk=work.pk).update(path="")


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else f"{error.strerror}."
    return str(error) or type(error).__name__
