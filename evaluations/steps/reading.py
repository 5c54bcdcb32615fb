"""Reads the recipe of a chain: YAML, checked as far as it can be without asking anybody.

    name: SFT, then GRPO
    steps:
      - {name: sft, train: sft-sample, set: {steps: 64}}
      - {name: grpo, train: grpo-sample, model: sft}

Every key and every value is held to what a chain may have. A step can name only steps before it, so
no step waits for itself.
"""

import difflib
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from evaluations.steps.step import (
    AVERAGE,
    BEST,
    CHOOSE,
    CONVERT,
    EVALUATE,
    FORMULA,
    GATE,
    MERGE,
    MODELS,
    PARETO,
    TRAIN,
    VERBS,
    Limit,
    Recipe,
    Source,
    Step,
    Wish,
)
from surgery.choice.formula import FormulaError, parse
from surgery.recipes.recipe import RecipeError as YamlError
from surgery.recipes.recipe import load
from surgery.recipes.sweep import read_range

LONGEST = 100_000  # characters
MOST_STEPS = 50
MOST_VALUES = 50  # of one field, and models of one step
LONGEST_TEXT = 1000
NAME = re.compile(r"[a-z][a-z0-9_-]{0,39}")
NAMED_MODEL = re.compile(r"\$\{([^}]*)\}")  # in the recipe of a merge: ${sft}
UNWRITABLE = re.compile("[\0\ud800-\udfff]")
OF_RECIPE = ("name", "about", "machine", "steps")
OF_STEP = ("name", "after", "machine")
KEYS: Mapping[str, Sequence[str]] = {
    TRAIN: ("model", "set", "over"),
    AVERAGE: ("set", "over"),
    MERGE: ("sweep",),
    CONVERT: ("set", "over"),
    EVALUATE: ("set", "over"),
    MODELS: (),
    CHOOSE: ("by", "formula", "less", "better", "from", "keep"),
    GATE: ("metric", "from", "at_least", "at_most", "not_worse_than", "better_than", "margin"),
}


class ChainError(ValueError):
    """What is wrong with the recipe of a chain, as a sentence that names the step."""


def read_chain(text: str) -> Recipe:
    """The chain that a YAML text says. Raises ``ChainError``."""
    data = _mapping(_loaded(text), "The recipe")
    _known(data, OF_RECIPE, "The recipe")
    rows = data.get("steps")
    if not isinstance(rows, list) or not rows:
        raise ChainError("The recipe has no steps: write steps: and below it one for each line.")
    if len(rows) > MOST_STEPS:
        raise ChainError(f"The recipe has {len(rows)} steps; {MOST_STEPS} are the most.")
    steps: dict[str, Step] = {}
    for nr, row in enumerate(rows, 1):
        step = _step(row, nr, steps)
        steps[step.name] = step
    return Recipe(
        name=_one_line(data.get("name", "Chain"), "The name of the recipe", 150),
        steps=list(steps.values()),
        about=_text(data.get("about", ""), "about"),
        machine=_text(data.get("machine", ""), "machine", 100),
    )


def _loaded(text: str) -> Any:
    if len(text) > LONGEST:
        raise ChainError(f"The recipe has {len(text)} characters; {LONGEST} are the most.")
    if UNWRITABLE.search(text):
        raise ChainError("The recipe has a character that no text has.")
    try:
        return load(text, "The recipe")
    except YamlError as error:
        raise ChainError(str(error)) from error


def _step(row: Any, nr: int, before: Mapping[str, Step]) -> Step:
    data = _mapping(row, f"Step {nr}")
    verbs = [verb for verb in VERBS if verb in data]
    if len(verbs) != 1:
        said = f"has {' and '.join(verbs)}" if verbs else "does nothing"
        raise ChainError(f"Step {nr} {said}: it has one of {', '.join(VERBS)}.")
    (verb,) = verbs
    name = data.get("name", verb)
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise ChainError(f"The name of step {nr} is {_shown(name)}: it begins with a letter, and "
                         "has at most 40 of a to z, 0 to 9, - and _.")  # fmt: skip
    if name in before:
        raise ChainError(f"There are two steps {name}: each has a name of its own.")
    where = f"Step {name}"
    _known(data, (*OF_STEP, verb, *KEYS[verb]), where)
    return READERS[verb](data, _common(data, name, verb, before), before)


def _common(data: Mapping[str, Any], name: str, verb: str, before: Mapping[str, Step]) -> Step:
    where = f"Step {name}"
    after = [_named(each, where, "after", before) for each in _several(data.get("after", []))]
    return Step(
        name=name,
        verb=verb,
        after=after,
        machine=_text(data.get("machine", ""), f"{where}: machine", 100),
        sets=_sets(data.get("set"), f"{where}: set"),
        over=_over(data.get("over"), f"{where}: over"),
    )


def _with(step: Step, **fields: Any) -> Step:
    return Step(**{**vars(step), **fields})


def _train(data: Mapping[str, Any], step: Step, before: Mapping[str, Step]) -> Step:
    where = f"Step {step.name}"
    recipe = _text(data[TRAIN], f"{where}: train", 200)
    if not recipe:
        raise ChainError(f"{where}: train names a recipe, such as sft-sample.")
    given = data.get("model")
    models = [] if given is None else [_source(given, where, before)]
    return _with(step, of=recipe, models=models)


def _of_one_step(data: Mapping[str, Any], step: Step, before: Mapping[str, Step]) -> Step:
    """A step that works on what an earlier one made, whatever that is."""
    where = f"Step {step.name}"
    return _with(step, models=[Source(step=_named(data[step.verb], where, step.verb, before))])


def _convert(data: Mapping[str, Any], step: Step, before: Mapping[str, Step]) -> Step:
    return _with(step, models=[_source(data[CONVERT], f"Step {step.name}", before)])


def _merge(data: Mapping[str, Any], step: Step, before: Mapping[str, Step]) -> Step:
    where, text = f"Step {step.name}", data[MERGE]
    if not isinstance(text, str) or not text.strip():
        raise ChainError(f"{where}: merge is the text of a recipe, in lines below merge: |")
    named = dict.fromkeys(NAMED_MODEL.findall(text))
    models = [Source(step=_named(name, where, "merge", before)) for name in named]
    sweep = _text(data.get("sweep", ""), f"{where}: sweep", 200)
    if sweep:
        try:
            read_range(sweep)
        except YamlError as error:
            raise ChainError(f"{where}: {error}") from error
    return _with(step, of=text, models=models, sweep=sweep)


def _evaluate(data: Mapping[str, Any], step: Step, before: Mapping[str, Step]) -> Step:
    where = f"Step {step.name}"
    models = [_source(each, where, before) for each in _several(data[EVALUATE])]
    if not 1 <= len(models) <= MOST_VALUES:
        raise ChainError(f"{where} evaluates {len(models)} models: name from 1 to {MOST_VALUES}.")
    return _with(step, models=models)


def _models(data: Mapping[str, Any], step: Step, before: Mapping[str, Step]) -> Step:
    where = f"Step {step.name}"
    paths = [_path(each, where) for each in _several(data[MODELS])]
    if not 1 <= len(paths) <= MOST_VALUES:
        raise ChainError(f"{where} names {len(paths)} models: name from 1 to {MOST_VALUES}.")
    return _with(step, models=[Source(path=path) for path in dict.fromkeys(paths)])


def _choose(data: Mapping[str, Any], step: Step, before: Mapping[str, Step]) -> Step:
    where = f"Step {step.name}"
    keep = data.get("keep", 1)
    if type(keep) is not int or not 1 <= keep <= MOST_VALUES:
        raise ChainError(f"{where}: keep is {_shown(keep)}, and not a number from 1 on.")
    wish = Wish(
        by=FORMULA if "formula" in data else PARETO if "less" in data else BEST,
        metric=_text(data.get("by", ""), f"{where}: by", 300),
        formula=_text(data.get("formula", ""), f"{where}: formula"),
        less=_text(data.get("less", ""), f"{where}: less", 300),
        higher=_side(data.get("better"), where),
        keep=keep,
    )
    if bool(wish.metric) == bool(wish.formula):
        raise ChainError(f"{where} chooses by: a metric, or by a formula: write one of these.")
    if wish.formula:
        try:
            parse(wish.formula)
        except FormulaError as error:
            raise ChainError(f"{where}: {error}") from error
    return _with(_of_one_step(data, step, before), wish=wish, scores=_scores(data, where, before))


def _gate(data: Mapping[str, Any], step: Step, before: Mapping[str, Step]) -> Step:
    where = f"Step {step.name}"
    than = {
        key: _named(data[key], where, key, before) if key in data else ""
        for key in ("not_worse_than", "better_than")
    }
    bounds = {key: _number(data.get(key), f"{where}: {key}") for key in ("at_least", "at_most")}
    margin = _number(data.get("margin", 0), f"{where}: margin") or 0.0
    metric = _text(data.get("metric", ""), f"{where}: metric", 300)
    if not metric:
        raise ChainError(f"{where} has no metric: by what does it decide?")
    asked = [key for key, value in {**than, **bounds}.items() if value not in ("", None)]
    if not asked or (than["not_worse_than"] and than["better_than"]):
        raise ChainError(f"{where} asks for nothing that can fail: it has at_least, at_most, or "
                         "one of not_worse_than and better_than.")  # fmt: skip
    if margin < 0:
        raise ChainError(f"{where}: margin is {margin:g}, and not below 0.")
    if margin and not than["not_worse_than"]:
        raise ChainError(f"{where}: margin goes with not_worse_than.")
    limit = Limit(
        metric, bounds["at_least"], bounds["at_most"], than["not_worse_than"], than["better_than"],
        margin,
    )  # fmt: skip
    scores = _scores(data, where, before)
    if limit.other and not scores:
        raise ChainError(f"{where} compares models: from names the step that evaluated them.")
    return _with(_of_one_step(data, step, before), limit=limit, scores=scores)


Reader = Callable[[Mapping[str, Any], Step, Mapping[str, Step]], Step]
READERS: Mapping[str, Reader] = {
    TRAIN: _train, AVERAGE: _of_one_step, MERGE: _merge, CONVERT: _convert, EVALUATE: _evaluate,
    MODELS: _models, CHOOSE: _choose, GATE: _gate,
}  # fmt: skip


def _scores(data: Mapping[str, Any], where: str, before: Mapping[str, Step]) -> str:
    """The step whose evaluations are looked at; empty for the metrics of the jobs themselves."""
    if "from" not in data:
        return ""
    name = _named(data["from"], where, "from", before)
    if before[name].verb != EVALUATE:
        raise ChainError(f"{where}: from names {name}, which evaluates nothing.")
    return name


def _source(given: Any, where: str, before: Mapping[str, Step]) -> Source:
    if isinstance(given, str) and given.startswith("/"):
        return Source(path=_path(given, where))
    return Source(step=_named(given, where, "model", before))


def _path(given: Any, where: str) -> str:
    if not isinstance(given, str) or not given.startswith("/") or given == "/*":
        raise ChainError(f"{where}: {_shown(given)} is no whole path: it begins with /.")
    return _text(given, where)


def _named(given: Any, where: str, key: str, before: Mapping[str, Step]) -> str:
    """An earlier step that leaves models, or for ``after`` any."""
    step = before.get(given) if isinstance(given, str) else None
    if step is None:
        near = difflib.get_close_matches(str(given), before, 1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise ChainError(f"{where}: {key} names {_shown(given)}, and no step before it has that "
                         f"name.{hint}")  # fmt: skip
    if key not in ("after", "from") and step.verb == EVALUATE:
        raise ChainError(f"{where}: {key} names {step.name}, which evaluates and makes no model.")
    return step.name


def _known(data: Mapping[str, Any], keys: Sequence[str], where: str) -> None:
    for key in data:
        if key not in keys:
            near = difflib.get_close_matches(str(key), keys, 1)
            hint = f" Did you mean {near[0]}?" if near else f" It has: {', '.join(keys)}."
            raise ChainError(f"{where} has no {_shown(key)}.{hint}")


def _mapping(data: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(data, dict):
        raise ChainError(f"{where} is no mapping: write key: value.")
    return data


def _several(given: Any) -> list[Any]:
    return given if isinstance(given, list) else [given]


def _sets(given: Any, where: str) -> dict[str, str]:
    return {} if given is None else {
        _key(key, where): _value(value, f"{where}: {key}")
        for key, value in _mapping(given, where).items()
    }  # fmt: skip


def _over(given: Any, where: str) -> dict[str, list[str]]:
    if given is None:
        return {}
    found = {}
    for key, values in _mapping(given, where).items():
        if not isinstance(values, list) or not 1 <= len(values) <= MOST_VALUES:
            raise ChainError(f"{where}: {_shown(key)} is a list of 1 to {MOST_VALUES} values.")
        named = [_value(value, f"{where}: {key}") for value in values]
        found[_key(key, where)] = list(dict.fromkeys(named))
    if math.prod(map(len, found.values())) > MOST_VALUES:
        raise ChainError(f"{where} has more than {MOST_VALUES} combinations.")
    return found


def _key(key: Any, where: str) -> str:
    if not isinstance(key, str) or not key:
        raise ChainError(f"{where} has the key {_shown(key)}, which is no name.")
    return key


def _value(value: Any, where: str) -> str:
    """A value as a form takes it: YAML's true and false as a command writes them."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return "\n".join(_value(each, where) for each in value)
    if value is None or isinstance(value, dict):
        raise ChainError(f"{where} is {_shown(value)}, and not a text or a number.")
    return _text(str(value), where, 10_000)


def _text(given: Any, where: str, most: int = LONGEST_TEXT) -> str:
    if not isinstance(given, str):
        raise ChainError(f"{where} is {_shown(given)}, and not a text.")
    if len(given) > most:
        raise ChainError(f"{where} has {len(given)} characters; {most} are the most.")
    return given.strip()


def _one_line(given: Any, where: str, most: int) -> str:
    text = " ".join(_text(given, where, most).split())
    if not text or not text.isprintable():
        raise ChainError(f"{where} is {_shown(given)}, and not a line of printable characters.")
    return text


def _number(given: Any, where: str) -> float | None:
    if given is None:
        return None
    if type(given) not in (int, float) or not abs(given) < 1e300:
        raise ChainError(f"{where} is {_shown(given)}, and not a number.")
    return float(given)


def _side(given: Any, where: str) -> bool | None:
    if given is None:
        return None
    if given not in ("higher", "lower"):
        raise ChainError(f"{where}: better is {_shown(given)}, and not higher or lower.")
    return bool(given == "higher")


def _shown(value: Any) -> str:
    text = str(value)
    return f"“{text[:60]}…”" if len(text) > 60 else f"“{text}”"
