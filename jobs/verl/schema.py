"""The keys that a release of verl has, from a dump of its composed configuration."""

import difflib
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from jobs.verl.algorithms import ALGORITHMS
from jobs.verl.choices import choices_for, outside
from jobs.verl.overrides import Override
from jobs.verl.renames import is_unread, under_another_name
from jobs.verl.spec import LATEST

NUMERIC = {"int": (int,), "float": (int, float)}
# Nodes that verl reads although no configuration file and no data class lists their keys:
# trainer/main_ppo.py passes ray_init to ray.init; reward_loop and trainer/ppo/reward.py get the
# reward's own arguments.
READ_AS_GIVEN = (
    "ray_kwargs.ray_init",
    "reward.reward_kwargs",
    "reward.custom_reward_function.reward_kwargs",
)
# experimental/reward_loop/reward_manager/limited.py reads these likewise, each with its type.
READ_IF_GIVEN = {
    "reward.max_concurrent": "int",
    "reward.max_rpm": "int",
    "reward.max_tpm": "int",
    "reward.timeout": "float",
    "reward.estimated_tokens_per_request": "int",
}
# Teachers are named by the user; each has the keys of this one.
TEACHERS, TEACHER = "distillation.teacher_models.", "teacher_model"


@dataclass(frozen=True)
class Schema:
    """Keys of one trainer. ``keys`` maps a dotted key to its default and type name.

    ``fields`` maps keys that may be added with a plus to their type names: fields of verl's data
    classes that its configuration files omit. ``elsewhere`` has the keys of the other releases.
    """

    verl: str
    config: str
    keys: Mapping[str, Mapping[str, Any]]
    fields: Mapping[str, str] = field(default_factory=dict)
    elsewhere: Mapping[str, Collection[str]] = field(default_factory=dict)

    def problem(self, override: Override) -> str | None:
        """Say why an override is wrong and how to correct it; None if it is right."""
        if is_unread(override.key, self.verl, self.keys):
            right = under_another_name(override.key, self.verl)
            return f"verl {self.verl} does not read {override.key}. Write {right}."
        if not self.takes(override.key, adds=override.adds):
            return self._unknown(override)
        if override.removes:
            return None
        return self._type_problem(override) or self._choice_problem(override)

    def takes(self, key: str, *, adds: bool) -> bool:
        """True when the release reads the key as it is, or, if ``adds``, with a plus."""
        if self.has(key) or key.startswith("hydra."):
            return True
        return adds and (self._is_field(key) or self.is_open(key) or self._is_given(key))

    def has(self, key: str) -> bool:
        """True for a key, or for a node that holds keys."""
        return key in self.keys or key in self._nodes

    @cached_property
    def _nodes(self) -> frozenset[str]:
        """What holds keys. A command asks for each of its keys, and a comparison for each run's."""
        return frozenset(parent for key in self.keys for parent in _parents(key))

    def is_open(self, key: str) -> bool:
        """True when the key lies below a dictionary that verl leaves empty for the user."""
        if _is_below(key, READ_AS_GIVEN):
            return True
        nearest = next((parent for parent in _parents(key) if self.has(parent)), None)
        return nearest is not None and self.keys.get(nearest, {}).get("type") == "dict"

    def _is_field(self, key: str) -> bool:
        key = _teachers(key)
        known = key in self.keys and key.startswith(TEACHERS)
        return known or any(path in self.fields for path in (key, *_parents(key)))

    def _is_given(self, key: str) -> bool:
        return key in READ_IF_GIVEN and self.verl == LATEST and self.has("reward")

    def _unknown(self, override: Override) -> str:
        key = override.key
        if self.takes(key, adds=True):
            return f"{key} is not in verl's defaults; write +{key}=… to add it."
        name = under_another_name(key, self.verl)
        if name and self.takes(name, adds=True):
            return f"verl {self.verl} has no key {key}: it calls it {name}."
        said = "does not read" if override.adds else "has no key"
        others = [other for other, keys in self.elsewhere.items() if key in keys]
        there = f"; it is in {' and '.join(others)}" if others else ""
        return f"verl {self.verl} {said} {key}{there}. {self._near(key)}".strip()

    def _near(self, key: str) -> str:
        near = nearest(key, self.keys)
        return f"Nearest: {', '.join(near)}." if near else ""

    def _type_problem(self, override: Override) -> str | None:
        wanted = self._wanted(override.key)
        if fits(override.value, wanted):
            return None
        return f"{override.key} takes {_WORDS.get(wanted, wanted)}, not {override.value!r}."

    def _wanted(self, key: str) -> str:
        key = _teachers(key)
        if key in self.keys:
            return _type_of(self.keys[key])
        if self._is_given(key):
            return READ_IF_GIVEN[key]
        return self.fields.get(key) or ("dict" if self.has(key) else "null")

    def _choice_problem(self, override: Override) -> str | None:
        choices = choices_for(override.key, self.config)
        wrong = outside(override.value, choices, self.verl) if choices else None
        if choices is None or wrong is None:
            return None
        return f"{override.key} takes {', '.join(choices.of(self.verl))}; not {wrong!r}."


def _teachers(key: str) -> str:
    """The key of verl's own teacher for that of another."""
    name, dot, rest = key.removeprefix(TEACHERS).partition(".")
    return f"{TEACHERS}{TEACHER}{dot}{rest}" if key.startswith(TEACHERS) and name else key


def _parents(key: str) -> list[str]:
    """The nodes above a key, nearest first."""
    parts = key.split(".")
    return [".".join(parts[:n]) for n in range(len(parts) - 1, 0, -1)]


def _is_below(key: str, nodes: tuple[str, ...]) -> bool:
    return any(key.startswith(f"{node}.") for node in nodes)


def _type_of(known: Mapping[str, Any]) -> str:
    # verl also writes 0 and 1 as defaults of fractions, such as a temperature.
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

    A default of null or of text is too little to refuse a value by; null and interpolations always
    pass, since only the run can tell.
    """
    if value is None or wanted in ("null", "str") or "${" in str(value):
        return True
    if wanted in NUMERIC:
        return isinstance(value, NUMERIC[wanted]) and not isinstance(value, bool)
    return isinstance(value, {"bool": bool, "list": list, "dict": dict}[wanted])


def nearest(key: str, known: Mapping[str, Any], count: int = 3) -> list[str]:
    """The known keys most like ``key``: those of the same part of the configuration first, and
    there those with the same last word, then by spelling."""
    part, found = key, list[str]()
    while "." in part and not found:
        part = part.rpartition(".")[0]
        below = [name for name in known if name.startswith(f"{part}.")]
        if found := _by_leaf(key, below, count):
            found += _by_spelling(key, below, count)
    if not found:
        spelt = _by_spelling(key, known, count)
        found = [*_same_leaf(key, known), *spelt, *_by_leaf(key, known, count)]
    return list(dict.fromkeys(found))[:count]


def _same_leaf(key: str, names: Iterable[str]) -> list[str]:
    same = [name for name in names if _leaf(name) == _leaf(key)]
    return sorted(same, key=lambda name: -difflib.SequenceMatcher(None, key, name).ratio())


def _by_leaf(key: str, names: Collection[str], count: int) -> list[str]:
    leaves = {_leaf(name): name for name in names}
    close = difflib.get_close_matches(_leaf(key), list(leaves), n=count)
    return [*_same_leaf(key, names), *(leaves[name] for name in close)]


def _by_spelling(key: str, names: Iterable[str], count: int) -> list[str]:
    return difflib.get_close_matches(key, list(names), n=count, cutoff=0.6)


def _leaf(key: str) -> str:
    return key.rsplit(".", 1)[-1]


@lru_cache
def load(environments: Path, kind: str, release: str = LATEST) -> Schema:
    """Read the dump of a release for a kind of run.

    Raises ``OSError`` when the folder has no such dump: the release is unknown, or lacks the kind.
    """
    name = f"schema/{ALGORITHMS[kind].config}.json"
    own = environments / folder_name(release) / name
    data = _read(own)
    others = [_read(path) for path in sorted(environments.glob(f"verl-*/{name}")) if path != own]
    elsewhere = {other["verl"]: other["keys"].keys() for other in others}
    return Schema(data["verl"], data["config"], data["keys"], data["fields"], elsewhere)


@lru_cache
def _read(path: Path) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(path.read_text())
    return data


def folder_name(release: str) -> str:
    """``verl-0.9`` for ``0.9.1``: the folder with a release's lock and schema."""
    major, minor, *_ = release.split(".")
    return f"verl-{major}.{minor}"
