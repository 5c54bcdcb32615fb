"""What of a source's columns goes to commands."""

from typing import Any

from datasets.mapping.proposals import Columns


def columns_json(found: Columns) -> dict[str, Any]:
    return {
        "dataset": found.source.dataset.name,
        "source": str(found.source.uuid),
        "columns": [
            {"name": name, "holds": holds, "first": values} for name, holds, values in found.shown
        ],
        "left_out": found.left_out,
        "shapes": [
            {"shape": one.shape, "target": one.mapping.target, "fits": one.fits, "why": one.reason}
            for one in found.proposals
        ],
    }


def columns_text(found: Columns) -> str:
    """The columns with their first value, and the shapes that fit."""
    wide = max((len(name) for name, _, _ in found.shown), default=0)
    lines = [f"{name:<{wide}}  {holds:<14} {values[0]}" for name, holds, values in found.shown]
    more = [f"and {found.left_out} more"] if found.left_out else []
    shapes = [
        f"--shape {one.shape}: {one.reason} It fits {one.fits:.0%} of the first rows."
        for one in found.proposals
    ]
    return "\n".join([*lines, *more, *(shapes or ["No shape fits the rows by itself."])])
