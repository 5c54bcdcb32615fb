"""Write the subset of TOML that recipes use: Python's own library only reads TOML."""

import json
from collections.abc import Mapping
from typing import Any


def write_toml(data: Mapping[str, Any]) -> str:
    """Write texts, numbers, booleans, lists of them, and tables one level deep, which come last."""
    plain = {name: value for name, value in data.items() if not isinstance(value, Mapping)}
    lines = [f"{name} = {_written(value)}" for name, value in plain.items()]
    for name, table in data.items():
        if isinstance(table, Mapping):
            lines += ["", f"[{name}]", *(f"{key} = {_written(v)}" for key, v in table.items())]
    return "\n".join(lines) + "\n"


def _written(value: Any) -> str:
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_written, value)) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    # A TOML basic string uses JSON's escapes, and escapes DEL too.
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
