"""A recipe of a merge, read out of mergekit's YAML. Everything in it is checked by itself here;
what the models say to it is checked in `layout.py`."""

import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from trainyard_node.export.refused import Refused
from trainyard_node.merge.choice import Choice, read_choice
from trainyard_node.merge.methods import (
    ALL,
    IGNORED,
    METHODS,
    NEEDED,
    OTHERS,
    SHARED,
    Method,
    Parameter,
)
from trainyard_node.merge.settings import Setting, is_number, value_at

DTYPES = ("float32", "float16", "bfloat16", "float64")
KEYS = (
    "models", "slices", "merge_method", "base_model", "parameters", "dtype", "out_dtype",
    "tokenizer_source", "tokenizer", "chat_template", "seed",
)  # fmt: skip
WITH = "+"  # between a model and the adapter in it
OF_MODEL = ("model", "lora")
OF_SOURCE = ("model", "layer_range", "parameters")
OF_SLICE = ("sources", "base_model", "parameters")
TRUTHS = {"true": True, "false": False}
Settings = Mapping[str, Setting]


@dataclass(frozen=True)
class Source:
    """One model that a slice takes layers `layers[0]` to `layers[1]` of; None: all of them."""

    model: str
    layers: tuple[int, int] | None = None
    parameters: Settings = field(default_factory=dict)


@dataclass(frozen=True)
class Slice:
    sources: tuple[Source, ...]
    base: str = ""
    parameters: Settings = field(default_factory=dict)

    @property
    def base_index(self) -> int | None:
        names = [source.model for source in self.sources]
        return names.index(self.base) if self.base in names else None


@dataclass(frozen=True)
class Recipe:
    """`dtype` is the type of the result; empty: the inputs' own. `seed` is for chance alone."""

    method: Method
    slices: tuple[Slice, ...]
    base: str = ""
    parameters: Settings = field(default_factory=dict)
    dtype: str = ""
    tokenizer: Choice = field(default_factory=Choice)
    chat_template: str = ""
    seed: int = 0
    text: str = ""

    @property
    def models(self) -> list[str]:
        """Every model that is read, once, in the order of the recipe; the base too."""
        named = [source.model for each in self.slices for source in each.sources]
        return list(dict.fromkeys([*named, *([self.base] if self.base else [])]))

    @property
    def is_whole(self) -> bool:
        """Whether whole models are merged, not layers of them."""
        return all(source.layers is None for each in self.slices for source in each.sources)


def read_recipe(text: str) -> Recipe:
    """Raises Refused with a sentence that names the part which is wrong."""
    try:
        data = yaml.safe_load(text)
        json.dumps(data, default=str)  # an alias that holds itself has no end
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise Refused(f"The recipe is no YAML: {' '.join(str(error).split())[:300]}") from error
    if not isinstance(data, dict):
        raise Refused("The recipe is no YAML mapping: it begins with merge_method and models.")
    if "modules" in data:
        raise Refused("The recipe has modules: models of several modules (vision) are not merged.")
    _known(data, KEYS, "The recipe")
    method = _method(data.get("merge_method"))
    base = _model(data["base_model"], "base_model") if data.get("base_model") else ""
    recipe = Recipe(
        method=method,
        slices=_slices(data, method, base),
        base=base,
        parameters=_settings(data.get("parameters"), method, "The recipe"),
        dtype=_dtype(data, "out_dtype") or _dtype(data, "dtype"),
        tokenizer=read_choice(data, _model),
        chat_template=_text(data, "chat_template"),
        seed=_seed(data.get("seed", 0)),
        text=text,
    )
    for each in recipe.slices:
        _check_counts(each, method)
        _check_required(each, recipe)
    return recipe


def _method(name: Any) -> Method:
    if not isinstance(name, str) or name not in METHODS:
        near = difflib.get_close_matches(str(name), METHODS, 1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise Refused(f"There is no merge_method {name!r}.{hint} There are: {', '.join(METHODS)}.")
    return METHODS[name]


def _slices(data: Mapping[str, Any], method: Method, base: str) -> tuple[Slice, ...]:
    given = [name for name in ("models", "slices") if data.get(name)]
    if len(given) != 1:
        raise Refused("A recipe has either models or slices, and not both.")
    if given == ["models"]:
        sources = [_source(each, method) for each in _list(data, "models")]
        if any(source.layers for source in sources):
            raise Refused("layer_range stands at the sources of slices, not at models.")
        if base and base not in [source.model for source in sources]:
            sources.append(Source(base))  # a base that is none of the models is one more of them
        return (_checked_slice(sources, base, {}),)
    return tuple(_slice(each, method, base) for each in _list(data, "slices"))


def _slice(data: Any, method: Method, base: str) -> Slice:
    if not isinstance(data, dict):
        raise Refused(f"A slice is a mapping with sources, not {data!r}.")
    _known(data, OF_SLICE, "A slice")
    own = _model(data["base_model"], "base_model") if data.get("base_model") else base
    sources = [_source(each, method) for each in _list(data, "sources")]
    for source in sources:
        if source.layers is None:
            raise Refused(f"In a slice, {source.model} needs its layer_range.")
    counts = {source.layers[1] - source.layers[0] for source in sources if source.layers}
    if len(counts) > 1:
        raise Refused("The sources of a slice must have the same number of layers.")
    return _checked_slice(sources, own, _settings(data.get("parameters"), method, "A slice"))


def _checked_slice(sources: list[Source], base: str, parameters: Settings) -> Slice:
    names = [source.model for source in sources]
    if twice := next((name for name in names if names.count(name) > 1), ""):
        raise Refused(f"{twice} stands twice beside itself: a model counts once.")
    return Slice(tuple(sources), base, parameters)


def _source(data: Any, method: Method) -> Source:
    if not isinstance(data, dict) or "model" not in data:
        raise Refused(f"A source is a mapping with a model, not {data!r}.")
    _known(data, OF_SOURCE, "A source")
    model = _model(data["model"], "model")
    return Source(
        model, _layers(data.get("layer_range"), model),
        _settings(data.get("parameters"), method, model),
    )  # fmt: skip


def _model(data: Any, where: str) -> str:
    """A model's folder, or PATH+ADAPTER for one with a LoRA adapter in it."""
    if not isinstance(data, dict):
        return _checked_model(_folder(data, where))
    _known(data, OF_MODEL, where)
    model = _folder(data.get("model"), where)
    lora = data.get("lora")
    return _checked_model(f"{model}{WITH}{_folder(lora, f'lora of {where}')}" if lora else model)


def _folder(data: Any, where: str) -> str:
    name = data.get("path") if isinstance(data, dict) else data
    if not isinstance(name, str) or not name:
        raise Refused(f"{where} is a folder, not {data!r}.")
    return name


def _checked_model(name: str) -> str:
    parts = name.split(WITH)
    if len(parts) > 2 or not all(parts):
        raise Refused(f"{name} is no model: a folder, or a folder and a LoRA adapter's with one "
                      f"{WITH} between them.")  # fmt: skip
    return name


def _layers(data: Any, model: str) -> tuple[int, int] | None:
    if data is None:
        return None
    is_range = isinstance(data, list) and len(data) == 2 and all(type(n) is int for n in data)
    if not is_range or not 0 <= data[0] < data[1]:
        raise Refused(f"layer_range of {model} is [first, end], such as [0, 12], not {data!r}.")
    return data[0], data[1]


def _settings(data: Any, method: Method, where: str) -> Settings:
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise Refused(f"{where}: parameters is a mapping, not {data!r}.")
    for name, setting in data.items():
        parameter = method.parameter(name)
        if parameter is None:
            known = ", ".join(each.name for each in method.parameters) or "none"
            raise Refused(f"{where}: {method.name} has no parameter {name}. It has: {known}.")
        for value in _values_in(setting):
            checked(parameter, value, where)
    return data


def _values_in(setting: Setting) -> Iterable[Any]:
    if isinstance(setting, dict):
        yield from _values_in(setting.get("value"))
    elif isinstance(setting, list):
        for each in setting:
            yield from _values_in(each)
    else:
        yield setting


def checked(parameter: Parameter, value: Any, where: str) -> Any:
    """The value as its parameter takes it. Raises Refused."""
    if isinstance(value, str):
        value = TRUTHS.get(value.lower(), _number(value))
    is_truth = isinstance(value, bool)
    if parameter.kind is bool and (is_truth or value in (0, 1)):
        return bool(value)
    is_known = parameter.kind is not bool and is_number(value) and abs(value) < 1e9
    if is_known and (parameter.kind is float or value == int(value)):
        return parameter.kind(value)
    wanted = {bool: "true or false", int: "a whole number"}.get(parameter.kind, "a number")
    raise Refused(f"{where}: {parameter.name} is {wanted}, not {value!r}.")


def _number(text: str) -> Any:
    try:
        return float(text)  # YAML reads 1e-5 as a word
    except ValueError:
        return text


def _check_counts(each: Slice, method: Method) -> None:
    has_base = each.base_index is not None and method.base != IGNORED
    others = len(each.sources) - has_base
    if method.base == NEEDED and not has_base:
        raise Refused(f"{method.name} needs a base_model.")
    if others < method.least:
        beside = " beside the base" if has_base else ""
        raise Refused(
            f"{method.name} needs {method.least} or more models{beside}, and has {others}."
        )
    if method.most is not None and others > method.most:
        beside = " beside the base" if has_base else ""
        raise Refused(f"{method.name} takes {method.most} models{beside}, and has {others}.")


def _check_required(each: Slice, recipe: Recipe) -> None:
    for parameter in recipe.method.parameters:
        if not parameter.required:
            continue
        shared = settings_of(recipe, each, None)
        if parameter.of == SHARED and not _is_set(parameter, shared):
            raise Refused(f"{recipe.method.name} needs the parameter {parameter.name}.")
        for index, source in enumerate(each.sources):
            is_others = parameter.of == ALL or (parameter.of == OTHERS and index != each.base_index)
            if is_others and not _is_set(parameter, settings_of(recipe, each, source)):
                raise Refused(f"{source.model} needs a {parameter.name} for {recipe.method.name}.")


def _is_set(parameter: Parameter, places: Sequence[Settings]) -> bool:
    return any(parameter.name in place for place in places)


def settings_of(recipe: Recipe, each: Slice, source: Source | None) -> list[Settings]:
    """Where a parameter may be set, the nearest place first."""
    own = [source.parameters] if source else []
    return [*own, each.parameters, recipe.parameters]


def resolved(parameter: Parameter, places: Sequence[Settings], tensor: str, depth: float) -> Any:
    """The parameter's value for a tensor at `depth` of its slice. Raises Refused where none is."""
    for place in places:
        if parameter.name in place:
            setting = place[parameter.name]
            value = value_at(setting, tensor, depth, lambda each: checked(parameter, each, tensor))
            if value is not None:
                return value
    if parameter.required:
        raise Refused(f"No {parameter.name} is set for {tensor}: add a value without a filter.")
    return parameter.default


def _dtype(data: Mapping[str, Any], name: str) -> str:
    found = _text(data, name).removeprefix("torch.")
    if found and found not in DTYPES:
        raise Refused(f"{name} {found} is unknown. There are: {', '.join(DTYPES)}.")
    return found


def _seed(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 2**63:
        raise Refused(f"seed is a whole number of 0 or more, not {value!r}.")
    return value


def _text(data: Mapping[str, Any], name: str) -> str:
    value = data.get(name)
    if value is not None and not isinstance(value, str):
        raise Refused(f"{name} is a word, not {value!r}.")
    return value or ""


def _list(data: Mapping[str, Any], name: str) -> list[Any]:
    found = data.get(name)
    if not isinstance(found, list) or not found:
        raise Refused(f"{name} is a list with at least one entry.")
    return found


def _known(data: Mapping[str, Any], keys: Sequence[str], where: str) -> None:
    for key in data:
        if key not in keys:
            near = difflib.get_close_matches(str(key), keys, 1)
            hint = f" Did you mean {near[0]}?" if near else f" It has: {', '.join(keys)}."
            raise Refused(f"{where} has no {key}.{hint}")
