"""Views of data sets that pages and commands share."""

from typing import Any

from datasets.models import Source, Version
from platform_site.counts import counted


def state_of(work: Source | Version) -> str:
    """Data that is done is called ready."""
    return "ready" if work.is_done else work.state


def source_json(source: Source) -> dict[str, Any]:
    return {
        "dataset": source.dataset.name,
        "source": str(source.uuid),
        "name": source.name,
        "state": state_of(source),
        "rows": source.rows,
        "bytes": source.size,
        "sha256": source.sha256,
        "error": source.error,
        "facts": source.facts,
    }


def version_json(version: Version) -> dict[str, Any]:
    return {
        "version": version.label,
        "target": version.target,
        "state": state_of(version),
        "rows_train": version.rows_train,
        "rows_val": version.rows_val,
        "rows_removed": version.rows_removed,
        "sha256": version.sha256,
        "train_file": version.train_file,
        "val_file": version.val_file,
        "source": version.source.name if version.source else None,
        "parent": version.parent.label if version.parent else None,
        "mapping": version.mapping,
        "options": version.options,
        "problems": version.problems.get("counts", {}),
        "lost": version.lost,
        "created_at": version.created_at.isoformat(),
    }


def version_line(version: Version) -> str:
    rows = f"{version.rows_train or 0} + {version.rows_val or 0}"
    return f"{version.label:<40} {version.target:<4} {state_of(version):<9} {rows:>20} rows"


def source_text(source: Source) -> str:
    """What an import gave: its rows, and those that could not be read."""
    bad = source.facts.get("bad", 0)
    head = [f"{bad} could not be read:", *source.reasons] if bad else []
    return _text_of(
        f"{source.dataset}: {counted(source.rows or 0, 'row')}",
        head,
        source.facts.get("examples", []),
    )


def version_text(version: Version) -> str:
    """A version in one line, and the rows that were left out of it."""
    gone = version.rows_removed
    head = [f"{gone} {'was' if gone == 1 else 'were'} left out:", *version.reasons] if gone else []
    if version.lost:
        named = ", ".join(f"{name} ({count})" for name, count in version.lost.items())
        head.append(f"Not carried into it, by rows: {named}.")
    return _text_of(version_line(version), head, version.problems.get("examples", []))


def _text_of(first: str, more: list[str], examples: list[dict[str, Any]]) -> str:
    lines = [f"  line {one['line']}: {one['message']} {one['excerpt']}" for one in examples]
    return "\n".join([first, *more, *(lines if more else [])])
