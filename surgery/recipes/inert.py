"""Parameters that change nothing where all models have the same value of them: a sweep over one
would make the same merge again and again."""

from collections.abc import Mapping
from typing import Any

from surgery.recipes.methods import RATIO, Method
from surgery.recipes.recipe import TRUTHS

# The flags by which a method divides by the sum of the weights.
DIVIDES = ("normalize", "normalize_weights")
# Methods that take both weights as one share of the two.
SHARES = ("nuslerp",)
# Methods that keep every change, whatever their density is.
KEEPS_ALL = ("task_arithmetic",)
# What says which changes are kept, beside the density: with a density of 1 all are.
OF_DENSITY = ("gamma", "epsilon")


def why_alike(data: Mapping[str, Any], method: Method, name: str) -> str:
    """Why merges that differ in one number for all models, ``name``, would be the same, and what
    to sweep instead; empty where they may differ."""
    given = data.get("parameters") or {}
    given = given if isinstance(given, Mapping) else {}
    if name == "weight" and (reason := _divided(given, method)):
        return f"All models would have the same weight, and {reason}. {_instead(method)}"
    if name == "density" and method.name in KEEPS_ALL:
        return (
            f"{method.name} keeps every change, so its density changes nothing: the merges would be"
            f" the same. {_instead(method)}"
        )
    if name in OF_DENSITY and method.parameter("density") and _keeps_all(data, given):
        return (
            f"With a density of 1 every change is kept, so {name} changes nothing: the merges "
            f"would be the same. Give the recipe a density below 1. {_instead(method)}"
        )
    return ""


def _divided(given: Mapping[str, Any], method: Method) -> str:
    if method.name in SHARES:
        return f"{method.name} goes by the share of each: the merges would be the same"
    for flag in DIVIDES:
        known = method.parameter(flag)
        if known and _is_true(given.get(flag, known.default)):
            return (
                f"{method.name} divides by their sum ({flag}): the merges would be the same. With "
                f"{flag}: false in the recipe they would not be"
            )
    return ""


def _is_true(value: Any) -> bool:
    """Of all tensors: one that differs by the layer or the tensor is none."""
    return bool(TRUTHS.get(str(value).lower(), value == 1))


def _keeps_all(data: Mapping[str, Any], given: Mapping[str, Any]) -> bool:
    """Whether no model has a density of its own, and the one of all is 1, as without one."""
    rows = [*_rows(data.get("models")), *_rows(data.get("slices"))]
    rows += [each for row in rows for each in _rows(row.get("sources"))]
    own = [each.get("parameters") for each in rows]
    if any(isinstance(each, Mapping) and "density" in each for each in own):
        return False
    density = given.get("density", 1)
    return isinstance(density, int | float) and density >= 1


def _rows(value: Any) -> list[Mapping[str, Any]]:
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []


def _instead(method: Method) -> str:
    """What can be swept, as far as it changes something."""
    known = [RATIO] if method.parameter("weight") else []
    density = method.parameter("density") and method.name not in KEEPS_ALL
    known += ["density"] if density else []
    known += [name for name in ("lambda", "t") if method.parameter(name)]
    told = {RATIO: f"{RATIO}, of two models how much the second counts"}
    return f"Sweep {' or '.join(told.get(name, name) for name in known)}." if known else ""
