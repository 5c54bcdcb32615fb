"""The long work on data: importing, compiling, checking, cleaning."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from datasets import hub
from datasets.formats import check, clean, compile, source
from datasets.formats.columns import ColumnMapping
from datasets.formats.scorers import DATA_SOURCES
from datasets.models import Report, Source, Version
from platform_site.bounded.limits import within
from platform_site.work import doing
from platform_site.work.doing import Progress, WorkFailed
from platform_site.work.models import Work

COUNTED_WITHIN = 300  # seconds for some hundred rows: a chat template may have a loop without end


def work_off(work: Work) -> bool:
    """Do a piece of work from waiting to its end; false when it is not there to be done."""
    if not doing.do(work, _do):
        return False
    if work.is_done:
        _tidy(work)
    return True


def _do(work: Work) -> dict[str, Any]:
    try:
        return _made_of(work)
    except (ValueError, OSError) as error:
        raise WorkFailed(_sentence(error)) from None


def _made_of(work: Work) -> dict[str, Any]:
    if isinstance(work, Source):
        return _import(work)
    if isinstance(work, Report):
        return _check(work)
    if isinstance(work, Version):
        return _clean(work) if work.parent else _compile(work)
    raise TypeError(work)


def _import(work: Source) -> dict[str, Any]:
    progress = Progress(work)
    if work.origin == Source.Origin.HUB and not work.path:
        work.path = str(hub.fetch(work.name, work.folder.with_suffix(".hub"), progress))
        work.save(update_fields=["path"])
    name = Path(work.path).name if work.origin == Source.Origin.HUB else work.name
    facts = source.import_file(
        Path(work.path), work.folder, name=name, progress=progress, encoding=work.encoding
    )
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
        progress=Progress(work),
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
        progress=Progress(work),
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
        "problems": {
            "counts": made.problem_counts,
            "examples": made.examples,
            "lost": made.lost,
        },
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
        progress=Progress(work),
    )
    return {"data": report.to_json()}


def lengths_of(model: str, target: str) -> check.Lengths | None:
    """A function that counts rows' tokens with this model's tokenizer; None without a model."""
    if not model:
        return None
    from datasets.formats import tokens

    tokenizer = tokens.load(Path(model))

    def lengths(rows: Sequence[dict[str, Any]]) -> list[int]:
        with within(COUNTED_WITHIN, f"The tokens of {len(rows)} rows could not be counted."):
            return tokenizer.lengths(rows, target)

    return lengths


def _tidy(work: Work) -> None:
    """Remove the uploaded or fetched file; the rows and the original's SHA-256 stay."""
    if isinstance(work, Source) and work.origin != Source.Origin.FOLDER and work.path:
        Path(work.path).unlink(missing_ok=True)
        Source.objects.filter(pk=work.pk).update(path="")


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else f"{error.strerror}."
    return str(error) or type(error).__name__
