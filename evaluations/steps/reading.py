"""Reads the recipe of a chain: YAML, checked as far as it can be without asking anybody.

    name: SFT, then GRPO
    steps:
      - {name: sft, train: sft-sample, set: {steps: 64}}
      - {name: grpo, train: grpo-sample, model: sft}

Every key and every value is held to what a chain may have. A step can name only steps before it, so
no step waits for itself.
"""

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from evaluations.steps.step import (
    ADAPTER,
    AVERAGE,
    BEST,
    CHECKPOINTS,
    CHOOSE,
    CONVERT,
    EVALUATE,
    FORMULA,
    GATE,
    LORA,
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
from evaluations.steps.values import (
    MOST_VALUES,
    ChainError,
    check_known,
    mapping_of,
    number_of,
    one_line,
    over_of,
    sets_of,
    several,
    shown,
    side_of,
    text_of,
)
from surgery.choice.formula import FormulaError, parse
from surgery.recipes.recipe import RecipeError as YamlError
from surgery.recipes.recipe import load
from surgery.recipes.sweep import read_range

LONGEST = 100_000  # characters
MOST_STEPS = 50
NAME = re.compile(r"[a-z][a-z0-9_-]{0,39}")
NAMED_MODEL = re.compile(r"\$\{([^}]*)\}")  # in the recipe of a merge: ${sft}
UNWRITABLE = re.compile("[\0\ud800-\udfff]")
OF_RECIPE = ("name", "about", "machine", "steps")
OF_STEP = ("name", "after", "machine")
KEYS: Mapping[str, Sequence[str]] = {
    TRAIN: ("model", "set", "over"),
    AVERAGE: ("set", "over"),
    MERGE: ("sweep",),
    ADAPTER: (),
    LORA: ("base", "set", "over"),
    CONVERT: ("set", "over"),
    EVALUATE: ("set", "over"),
    MODELS: (),
    CHOOSE: ("by", "formula", "less", "better", "from", "keep", "among"),
    GATE: ("metric", "from", "at_least", "at_most", "not_worse_than", "better_than", "margin"),
}


def read_chain(text: str) -> Recipe:
    """The chain that a YAML text says. Raises ``ChainError``."""
    data = mapping_of(_loaded(text), "The recipe")
    check_known(data, OF_RECIPE, "The recipe")
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
        name=one_line(data.get("name", "Chain"), "The name of the recipe", 150),
        steps=list(steps.values()),
        about=text_of(data.get("about", ""), "about"),
        machine=text_of(data.get("machine", ""), "machine", 100),
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
    data = mapping_of(row, f"Step {nr}")
    verbs = [verb for verb in VERBS if verb in data]
    if len(verbs) != 1:
        said = f"has {' and '.join(verbs)}" if verbs else "does nothing"
        raise ChainError(f"Step {nr} {said}: it has one of {', '.join(VERBS)}.")
    (verb,) = verbs
    name = data.get("name", verb)
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise ChainError(f"The name of step {nr} is {shown(name)}: it begins with a letter, and "
                         "has at most 40 of a to z, 0 to 9, - and _.")  # fmt: skip
    if name in before:
        raise ChainError(f"There are two steps {name}: each has a name of its own.")
    where = f"Step {name}"
    check_known(data, (*OF_STEP, verb, *KEYS[verb]), where)
    return READERS[verb](data, _common(data, name, verb, before), before)


def _common(data: Mapping[str, Any], name: str, verb: str, before: Mapping[str, Step]) -> Step:
    where = f"Step {name}"
    after = [_named(each, where, "after", before) for each in several(data.get("after", []))]
    return Step(
        name=name,
        verb=verb,
        after=after,
        machine=text_of(data.get("machine", ""), f"{where}: machine", 100),
        sets=sets_of(data.get("set"), f"{where}: set"),
        over=over_of(data.get("over"), f"{where}: over"),
    )


def _with(step: Step, **fields: Any) -> Step:
    return Step(**{**vars(step), **fields})


def _train(data: Mapping[str, Any], step: Step, before: Mapping[str, Step]) -> Step:
    where = f"Step {step.name}"
    recipe = text_of(data[TRAIN], f"{where}: train", 200)
    if not recipe:
        raise ChainError(f"{where}: train names a recipe, such as sft-sample.")
    given = data.get("model")
    models = [] if given is None else [_source(given, where, before)]
    return _with(step, of=recipe, models=models)


def _of_one_step(data: Mapping[str, Any], step: Step, before: Mapping[str, Step]) -> Step:
    """A step that works on what an earlier one made, whatever that is."""
    where = f"Step {step.name}"
    return _with(step, models=[Source(step=_named(data[step.verb], where, step.verb, before))])


def _adapter(data: Mapping[str, Any], step: Step, before: Mapping[str, Step]) -> Step:
    found = _of_one_step(data, step, before)
    _check_trains(found, before)
    return found


def _lora(data: Mapping[str, Any], step: Step, before: Mapping[str, Step]) -> Step:
    where = f"Step {step.name}"
    if "base" not in data:
        raise ChainError(f"{where}: base names the model that the adapters were trained on.")
    adapters = [_source(each, where, before) for each in several(data[LORA])]
    if not 1 <= len(adapters) <= MOST_VALUES:
        raise ChainError(f"{where} has {len(adapters)} adapters: name from 1 to {MOST_VALUES}.")
    for each in adapters:
        if each.step and _made_by(each.step, before).verb != ADAPTER:
            raise ChainError(f"{where}: lora names {each}, which leaves no adapter. A step with "
                             f"adapter: {each} exports that of a training.")  # fmt: skip
    return _with(step, models=[_source(data["base"], where, before), *adapters])


def _check_trains(step: Step, before: Mapping[str, Step]) -> None:
    for source in step.models:
        if _made_by(source.step, before).verb != TRAIN:
            raise ChainError(
                f"Step {step.name}: {source} is no training, so it has no checkpoints."
            )


def _made_by(name: str, before: Mapping[str, Step]) -> Step:
    """The step that made what a step passes on."""
    step = before[name]
    while step.decides and step.models and step.models[0].step:
        step = before[step.models[0].step]
    return step


def _convert(data: Mapping[str, Any], step: Step, before: Mapping[str, Step]) -> Step:
    return _with(step, models=[_source(data[CONVERT], f"Step {step.name}", before)])


def _merge(data: Mapping[str, Any], step: Step, before: Mapping[str, Step]) -> Step:
    where, text = f"Step {step.name}", data[MERGE]
    if not isinstance(text, str) or not text.strip():
        raise ChainError(f"{where}: merge is the text of a recipe, in lines below merge: |")
    named = dict.fromkeys(NAMED_MODEL.findall(text))
    models = [Source(step=_named(name, where, "merge", before)) for name in named]
    sweep = text_of(data.get("sweep", ""), f"{where}: sweep", 200)
    if sweep:
        try:
            read_range(sweep)
        except YamlError as error:
            raise ChainError(f"{where}: {error}") from error
    return _with(step, of=text, models=models, sweep=sweep)


def _evaluate(data: Mapping[str, Any], step: Step, before: Mapping[str, Step]) -> Step:
    where = f"Step {step.name}"
    models = [_source(each, where, before) for each in several(data[EVALUATE])]
    if not 1 <= len(models) <= MOST_VALUES:
        raise ChainError(f"{where} evaluates {len(models)} models: name from 1 to {MOST_VALUES}.")
    return _with(step, models=models)


def _models(data: Mapping[str, Any], step: Step, before: Mapping[str, Step]) -> Step:
    where = f"Step {step.name}"
    paths = [_path(each, where) for each in several(data[MODELS])]
    if not 1 <= len(paths) <= MOST_VALUES:
        raise ChainError(f"{where} names {len(paths)} models: name from 1 to {MOST_VALUES}.")
    return _with(step, models=[Source(path=path) for path in dict.fromkeys(paths)])


def _choose(data: Mapping[str, Any], step: Step, before: Mapping[str, Step]) -> Step:
    where = f"Step {step.name}"
    keep = data.get("keep", 1)
    if type(keep) is not int or not 1 <= keep <= MOST_VALUES:
        raise ChainError(f"{where}: keep is {shown(keep)}, and not a number from 1 on.")
    wish = Wish(
        by=FORMULA if "formula" in data else PARETO if "less" in data else BEST,
        metric=text_of(data.get("by", ""), f"{where}: by", 300),
        formula=text_of(data.get("formula", ""), f"{where}: formula"),
        less=text_of(data.get("less", ""), f"{where}: less", 300),
        higher=side_of(data.get("better"), where),
        keep=keep,
        checkpoints=_among(data, where),
    )
    if bool(wish.metric) == bool(wish.formula):
        raise ChainError(f"{where} chooses by: a metric, or by a formula: write one of these.")
    if wish.formula:
        try:
            parse(wish.formula)
        except FormulaError as error:
            raise ChainError(f"{where}: {error}") from error
    scores = _scores(data, where, before)
    if wish.checkpoints and scores:
        raise ChainError(f"{where} chooses among checkpoints by what was logged at their steps: it "
                         "has no from.")  # fmt: skip
    found = _with(_of_one_step(data, step, before), wish=wish, scores=scores)
    if wish.checkpoints:
        _check_trains(found, before)
    return found


def _among(data: Mapping[str, Any], where: str) -> bool:
    given = data.get("among", "")
    if given not in ("", CHECKPOINTS):
        raise ChainError(f"{where}: among is {shown(given)}, and not {CHECKPOINTS}.")
    return bool(given)


def _gate(data: Mapping[str, Any], step: Step, before: Mapping[str, Step]) -> Step:
    where = f"Step {step.name}"
    than = {
        key: _named(data[key], where, key, before) if key in data else ""
        for key in ("not_worse_than", "better_than")
    }
    bounds = {key: number_of(data.get(key), f"{where}: {key}") for key in ("at_least", "at_most")}
    margin = number_of(data.get("margin", 0), f"{where}: margin") or 0.0
    metric = text_of(data.get("metric", ""), f"{where}: metric", 300)
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
    TRAIN: _train, AVERAGE: _of_one_step, MERGE: _merge, ADAPTER: _adapter, LORA: _lora,
    CONVERT: _convert, EVALUATE: _evaluate,
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
        raise ChainError(f"{where}: {shown(given)} is no whole path: it begins with /.")
    return text_of(given, where)


def _named(given: Any, where: str, key: str, before: Mapping[str, Step]) -> str:
    """An earlier step that leaves models, or for ``after`` any."""
    step = before.get(given) if isinstance(given, str) else None
    if step is None:
        near = difflib.get_close_matches(str(given), before, 1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise ChainError(f"{where}: {key} names {shown(given)}, and no step before it has that "
                         f"name.{hint}")  # fmt: skip
    if key not in ("after", "from") and step.verb == EVALUATE:
        raise ChainError(f"{where}: {key} names {step.name}, which evaluates and makes no model.")
    return step.name
