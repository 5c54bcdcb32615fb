"""The keys that the pinned verl has, from a dump of its own composed configuration."""

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from jobs.verl.overrides import Override

CONFIGS: Mapping[str, str] = {"sft": "sft_trainer_engine", "grpo": "ppo_trainer"}
NUMERIC = {"int": (int,), "float": (int, float)}


@dataclass(frozen=True)
class Schema:
    """Keys of one trainer. ``keys`` maps a dotted key to its default and type name."""

    verl: str
    config: str
    keys: Mapping[str, Mapping[str, Any]]

    def problem(self, override: Override) -> str | None:
        """Say what is wrong with an override, with the nearest known keys, or None."""
        if override.adds and not self._known(override.key):
            return None if self._open(override.key) else self._closed(override.key)
        if not self._known(override.key):
            return self._unknown(override.key)
        if override.removes:
            return None
        return self._type_problem(override)

    def _known(self, key: str) -> bool:
        return key in self.keys or any(known.startswith(key + ".") for known in self.keys)

    def _open(self, key: str) -> bool:
        """True when the key hangs below a dictionary that verl leaves empty for the user."""
        parts = key.split(".")
        parents = (".".join(parts[:n]) for n in range(len(parts) - 1, 0, -1))
        nearest = next((parent for parent in parents if self._known(parent)), None)
        return nearest is not None and self.keys.get(nearest, {}).get("type") == "dict"

    def _closed(self, key: str) -> str:
        return f"verl {self.verl} does not read {key}. {self._near(key)}".strip()

    def _unknown(self, key: str) -> str:
        if self._open(key):
            return f"{key} is not in verl's defaults; write +{key}=… to add it."
        return f"verl {self.verl} has no key {key}. {self._near(key)}".strip()

    def _near(self, key: str) -> str:
        near = nearest(key, self.keys)
        return f"Nearest: {', '.join(near)}." if near else ""

    def _type_problem(self, override: Override) -> str | None:
        wanted = _wanted(self.keys.get(override.key, {"type": "dict"}))
        if fits(override.value, wanted):
            return None
        return f"{override.key} takes {_WORDS.get(wanted, wanted)}, not {override.value!r}."


def _wanted(known: Mapping[str, Any]) -> str:
    # verl writes 0 and 1 as defaults of fractions too, such as a temperature.
    loose = known["type"] == "int" and known["default"] in (0, 1)
    return "float" if loose else str(known["type"])


_WORDS = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "list": "a list such as [a,b]",
    "dict": "a dictionary such as {a:1}",
    "str": "text",
}


def fits(value: Any, wanted: str) -> bool:
    """True when a parsed value suits a default of type ``wanted``.

    A default of null or of text says too little to refuse anything; null and interpolations
    always pass, since only the run can tell.
    """
    if value is None or wanted in ("null", "str") or "${" in str(value):
        return True
    if wanted in NUMERIC:
        return isinstance(value, NUMERIC[wanted]) and not isinstance(value, bool)
    return isinstance(value, {"bool": bool, "list": list, "dict": dict}[wanted])


def nearest(key: str, known: Mapping[str, Any], count: int = 3) -> list[str]:
    """The known keys most like ``key``: first those with the same last word, then by spelling."""
    leaf = key.rsplit(".", 1)[-1]
    same_leaf = [name for name in known if name.rsplit(".", 1)[-1] == leaf]
    by_spelling = difflib.get_close_matches(key, list(known), n=count, cutoff=0.6)
    leaves = {name.rsplit(".", 1)[-1]: name for name in known}
    by_leaf = [leaves[name] for name in difflib.get_close_matches(leaf, list(leaves), n=count)]
    ranked = sorted(same_leaf, key=lambda name: -difflib.SequenceMatcher(None, key, name).ratio())
    return list(dict.fromkeys(ranked + by_spelling + by_leaf))[:count]


@lru_cache
def load(folder: Path, kind: str) -> Schema:
    """Read the dump for a kind of run. Raises ``OSError`` when the folder has none."""
    data = json.loads((folder / f"{CONFIGS[kind]}.json").read_text())
    return Schema(data["verl"], data["config"], data["keys"])
