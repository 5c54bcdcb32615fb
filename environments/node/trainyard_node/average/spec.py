"""What an average is asked for, and the recipe of the merge engine that makes it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from trainyard_node.average.scoring import Score, score_of
from trainyard_node.average.weights import ema, uniform, weighted
from trainyard_node.export.program import check_keys, is_number, path_of
from trainyard_node.export.refused import Refused

KEYS = ("method", "checkpoints", "last", "decay", "higher_is_better", "score", "dtype")
OF_CHECKPOINT = ("path", "step", "value")
METHODS = ("uniform", "last", "ema", "weighted", "greedy")
# Of keys, the methods that have them.
OWNERS = {
    "last": ("last",), "decay": ("ema",), "higher_is_better": ("weighted", "greedy"),
    "score": ("greedy",),
}  # fmt: skip
DTYPES = ("", "float32", "bfloat16")


@dataclass(frozen=True)
class Checkpoint:
    path: Path
    step: int
    value: float | None = None


@dataclass(frozen=True)
class Average:
    """`chosen` in the order of their steps, each with its share.

    Of a greedy soup `chosen` are the candidates until `found` says what came of each, in the order
    in which they were tried; `higher_is_better` is of their values.
    """

    method: str
    chosen: tuple[Checkpoint, ...]
    shares: tuple[float, ...]
    dtype: str = ""
    score: Score | None = None
    higher_is_better: bool = False
    found: tuple[dict[str, Any], ...] = ()

    def of(self, chosen: Sequence[Checkpoint]) -> "Average":
        """The plain mean of these."""
        ordered = sorted(chosen, key=lambda each: each.step)
        return replace(self, chosen=tuple(ordered), shares=tuple(uniform(len(ordered))))

    def recipe(self) -> str:
        """As YAML, for the method linear. A share of 0 reads nothing and is left out; the first
        line names what a greedy soup left out."""
        models = [
            {"model": str(each.path), "parameters": {"weight": share}}
            for each, share in zip(self.chosen, self.shares, strict=True)
            if share
        ]
        recipe: dict[str, Any] = {"merge_method": "linear", "models": models}
        if self.dtype:
            recipe["dtype"] = self.dtype
        said = ", ".join(f"step {row['step']} {row['state']}" for row in self.found)
        said = f"# Greedy soup: {said.replace('_', ' ')}\n" if said else ""
        return said + yaml.safe_dump(recipe, sort_keys=False)

    def told(self) -> list[dict[str, Any]]:
        """Each checkpoint's step, path and share, and what a greedy soup found of it."""
        shares = {
            str(each.path): share for each, share in zip(self.chosen, self.shares, strict=True)
        }
        rows: Sequence[dict[str, Any]] = self.found or [
            {"step": each.step, "path": str(each.path)} for each in self.chosen
        ]
        return [{**row, "share": shares.get(row["path"], 0.0)} for row in rows]


def read_spec(spec: Mapping[str, Any]) -> Average:
    """Raises Refused with a sentence that names the part which is wrong."""
    check_keys(spec, KEYS)
    method = spec.get("method")
    if method not in METHODS:
        raise Refused(f"There is no method {method!r}. There are: {', '.join(METHODS)}.")
    dtype = spec.get("dtype") or ""
    if dtype not in DTYPES:
        raise Refused(f"dtype is float32 or bfloat16, not {dtype!r}.")
    for key, owners in OWNERS.items():
        if spec.get(key) is not None and method not in owners:
            raise Refused(f"{key} belongs to {' and '.join(owners)}, and the method is {method}.")
    found = _checkpoints(spec.get("checkpoints"))
    chosen = _last(found, spec.get("last")) if method == "last" else found
    made = Average(method, tuple(chosen), tuple(_shares(method, chosen, spec)), dtype)
    return _greedy(made, spec) if method == "greedy" else made


def _greedy(made: Average, spec: Mapping[str, Any]) -> Average:
    """Candidates have values that sort them, or are all scored alone first."""
    has_values = {each.value is not None for each in made.chosen}
    if has_values == {True}:
        higher = _higher(spec.get("higher_is_better"), "greedy with values")
    elif has_values == {False}:
        higher = False
    else:
        raise Refused("Either all checkpoints of a greedy soup have a value, or none has.")
    return replace(made, score=score_of(spec.get("score")), higher_is_better=higher)


def _checkpoints(value: Any) -> list[Checkpoint]:
    if not isinstance(value, list) or len(value) < 2:
        raise Refused("checkpoints is a list of two or more.")
    found = sorted((_checkpoint(each) for each in value), key=lambda each: each.step)
    for what in ("path", "step"):
        seen = [getattr(each, what) for each in found]
        seen = [one.resolve() if isinstance(one, Path) else one for one in seen]
        if twice := next((one for one in seen if seen.count(one) > 1), None):
            raise Refused(f"checkpoints names the {what} {twice} twice.")
    return found


def _checkpoint(value: Any) -> Checkpoint:
    if not isinstance(value, dict):
        raise Refused(f"A checkpoint has a path and a step, unlike {value!r}.")
    check_keys(value, OF_CHECKPOINT)
    step, metric = value.get("step"), value.get("value")
    if type(step) is not int or step < 0:
        raise Refused(f"step is a whole number of 0 or more, not {step!r}.")
    if metric is not None and not is_number(metric):
        raise Refused(f"The value of step {step} is a number, not {metric!r}.")
    return Checkpoint(path_of(value.get("path"), "path"), step, metric)


def _last(found: list[Checkpoint], count: Any) -> list[Checkpoint]:
    if type(count) is not int or not 2 <= count <= len(found):
        raise Refused(f"last is a whole number from 2 to {len(found)}, not {count!r}.")
    return found[-count:]


def _shares(method: str, chosen: list[Checkpoint], spec: Mapping[str, Any]) -> list[float]:
    if method == "ema":
        decay: Any = spec.get("decay")
        if not is_number(decay) or not 0 <= decay <= 1:
            raise Refused(f"decay is a number from 0 to 1, not {decay!r}.")
        return ema(len(chosen), decay)
    if method == "weighted":
        return weighted(_values(chosen), _higher(spec.get("higher_is_better"), "weighted"))
    return uniform(len(chosen))


def _values(chosen: list[Checkpoint]) -> list[float]:
    lacking = [each.step for each in chosen if each.value is None]
    if lacking:
        raise Refused(f"The checkpoint of step {lacking[0]} has no value to be weighted by.")
    return [each.value for each in chosen if each.value is not None]


def _higher(value: Any, method: str) -> bool:
    if not isinstance(value, bool):
        raise Refused(f"{method} needs higher_is_better: true or false.")
    return value
