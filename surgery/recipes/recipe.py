"""A recipe of a merge in mergekit's YAML: read and checked as far as it can be without its models.

The node's own reading (``trainyard_node.merge.recipe``) is the last word; this one tells a person
what is wrong before a job is made, and which models are read.
"""

import difflib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from surgery.recipes.methods import IGNORED, METHODS, NEEDED, Method, Parameter
from surgery.recipes.vocabulary import BASE, UNION, faults

LONGEST = 100_000  # bytes: one argument of a process holds them
MOST_MODELS = 64
MOST_NODES = 10_000
MOST_LEVELS = 20
UNWRITABLE = re.compile("[\0\ud800-\udfff]")
DTYPES = ("float32", "float16", "bfloat16", "float64")
KEYS = (
    "models", "slices", "merge_method", "base_model", "parameters", "dtype", "out_dtype",
    "tokenizer_source", "tokenizer", "chat_template", "seed",
)  # fmt: skip
WITH = "+"  # between a model and the LoRA adapter in it
OF_MODEL = ("model", "lora")
OF_SOURCE = ("model", "layer_range", "parameters")
OF_SLICE = ("sources", "base_model", "parameters")
TRUTHS = {"true": True, "false": False}


class RecipeError(ValueError):
    """A recipe cannot be read. The message is a sentence that names the part which is wrong."""


@dataclass(frozen=True)
class Recipe:
    """``models`` are the folders of all that are read, each once, in the order of the recipe; the
    base too. ``adapters`` are the folders of what is folded into some of them."""

    method: Method
    models: Sequence[str]
    base: str = ""
    is_whole: bool = True  # whole models are merged, not layers of them
    tokenizer: str = ""  # a folder that is read for its tokenizer alone
    adapters: Sequence[str] = ()
    aligns: bool = False  # models of different vocabularies are brought together

    @property
    def read(self) -> list[str]:
        """All folders that are read as models."""
        return list(dict.fromkeys([*self.models, *([self.tokenizer] if self.tokenizer else [])]))


def read_recipe(text: str) -> Recipe:
    """The recipe that a YAML text says. Raises ``RecipeError``."""
    data = _loaded(text)
    _known(data, KEYS, "The recipe")
    method = _method(data.get("merge_method"))
    base = _model(data["base_model"], "base_model") if data.get("base_model") else ""
    _settings(data.get("parameters"), method, "The recipe")
    _dtype(data)
    models = list[str]()
    for sources, own in _slices(data, method, base):
        _count(sources, own, method)
        models += [*sources, *([own] if own else [])]
    named = list(dict.fromkeys([*models, *([base] if base else [])]))
    if len(named) > MOST_MODELS:
        raise RecipeError(f"The recipe names {len(named)} models; at most {MOST_MODELS} are read.")
    if fault := next(faults(data, named), ""):
        raise RecipeError(fault)
    return Recipe(
        method=method,
        models=_parts(named, 0),
        base=base.split(WITH)[0],
        is_whole="models" in data,
        tokenizer=_tokenizer(data),
        adapters=_parts(named, 1),
        aligns=bool(data.get("tokenizer") or data.get("tokenizer_source")),
    )


def _parts(names: Iterable[str], index: int) -> list[str]:
    """The folders of models (0) or of the adapters in them (1), each once."""
    split = [name.split(WITH) for name in names]
    return list(dict.fromkeys(parts[index] for parts in split if len(parts) > index))


def _tokenizer(data: Mapping[str, Any]) -> str:
    """The folder of a tokenizer, where the recipe names one."""
    own = data.get("tokenizer")
    given = own.get("source") if isinstance(own, dict) else data.get("tokenizer_source")
    if given in (None, "", BASE, UNION):
        return ""
    return _model(given, "tokenizer_source").split(WITH)[0]


def _loaded(text: str) -> dict[str, Any]:
    size = len(text.encode(errors="replace"))
    if size > LONGEST:
        raise RecipeError(f"The recipe has {size} bytes; at most {LONGEST} are read.")
    data = load(text, "The recipe")
    if not isinstance(data, dict):
        raise RecipeError("The recipe is no YAML mapping: it begins with merge_method and models.")
    if "modules" in data:
        raise RecipeError("The recipe has modules: models of several modules are not merged.")
    return data


def load(text: str, where: str) -> Any:
    """The YAML of a user, held to what a recipe may have. Raises ``RecipeError``."""
    try:
        data = yaml.safe_load(text)
    except Exception as error:  # a tag that does not fit its value raises whatever it likes
        said = " ".join(ascii(str(error))[1:-1].split())[:300]
        raise RecipeError(f"{where} is no YAML: {said}") from error
    _check_bounded(data, where)
    return data


def _check_bounded(data: Any, where: str) -> None:
    """Aliases make much of little, and may have no end; a tag makes what is no word and number."""
    left, count = [(data, 0)], 0
    while left:
        node, depth = left.pop()
        count += 1
        if count > MOST_NODES or depth > MOST_LEVELS:
            raise RecipeError(f"{where} is too large: at most {MOST_NODES} entries are read, and "
                              f"{MOST_LEVELS} levels.")  # fmt: skip
        if isinstance(node, dict):
            left += [(each, depth + 1) for pair in node.items() for each in pair]
        elif isinstance(node, list):
            left += [(each, depth + 1) for each in node]
        else:
            _check_plain(node, where)


def _check_plain(value: Any, where: str) -> None:
    is_plain = value is None or isinstance(value, bool | float)
    is_number = isinstance(value, int) and value.bit_length() <= 64
    is_text = isinstance(value, str) and not UNWRITABLE.search(value)
    if not (is_plain or is_number or is_text):
        raise RecipeError(
            f"{where} has a value that is neither words nor a number nor true or false: "
            f"{ascii(value)[:80] if isinstance(value, str) else type(value).__name__}."
        )


def _method(name: Any) -> Method:
    if not isinstance(name, str) or name not in METHODS:
        near = difflib.get_close_matches(str(name), METHODS, 1)
        hint = f" Did you mean {near[0]}?" if near else ""
        known = ", ".join(METHODS)
        raise RecipeError(f"There is no merge_method {name!r}.{hint} There are: {known}.")
    return METHODS[name]


def _slices(
    data: Mapping[str, Any], method: Method, base: str
) -> Iterator[tuple[Sequence[str], str]]:
    """The models of each slice with its base."""
    given = [name for name in ("models", "slices") if data.get(name)]
    if len(given) != 1:
        raise RecipeError("A recipe has either models or slices, and not both.")
    if given == ["models"]:
        yield [_source(each, method) for each in _list(data, "models")], base
        return
    for each in _list(data, "slices"):
        if not isinstance(each, dict):
            raise RecipeError(f"A slice is a mapping with sources, not {each!r}.")
        _known(each, OF_SLICE, "A slice")
        _settings(each.get("parameters"), method, "A slice")
        own = _model(each["base_model"], "base_model") if each.get("base_model") else base
        sources = [_source(source, method) for source in _list(each, "sources")]
        yield sources, own if own in sources else ""


def _source(data: Any, method: Method) -> str:
    if not isinstance(data, dict) or "model" not in data:
        raise RecipeError(f"A source is a mapping with a model, not {data!r}.")
    _known(data, OF_SOURCE, "A source")
    model = _model(data["model"], "model")
    _settings(data.get("parameters"), method, model)
    return model


def _model(data: Any, where: str) -> str:
    """A model's folder, or PATH+ADAPTER for one with a LoRA adapter in it."""
    if not isinstance(data, dict):
        return _checked_model(_folder(data, where))
    _known(data, OF_MODEL, where)
    model = _folder(data.get("model"), where)
    lora = data.get("lora")
    return _checked_model(f"{model}{WITH}{_folder(lora, f'lora of {where}')}" if lora else model)


def model_named(data: Any) -> str:
    """How a recipe that was read names a model, in one text."""
    return _model(data, "model")


def _folder(data: Any, where: str) -> str:
    name = data.get("path") if isinstance(data, dict) else data
    if not isinstance(name, str) or not name:
        raise RecipeError(f"{where} is a folder, not {data!r}.")
    return name


def _checked_model(name: str) -> str:
    parts = name.split(WITH)
    if len(parts) > 2 or not all(parts):
        raise RecipeError(f"{name} is no model: a folder, or a folder and a LoRA adapter's with "
                          f"one {WITH} between them.")  # fmt: skip
    return name


def _settings(data: Any, method: Method, where: str) -> None:
    if data is None:
        return
    if not isinstance(data, dict):
        raise RecipeError(f"{where}: parameters is a mapping, not {data!r}.")
    for name, setting in data.items():
        parameter = method.parameter(str(name))
        if parameter is None:
            known = ", ".join(each.name for each in method.parameters) or "none"
            raise RecipeError(f"{where}: {method.name} has no parameter {name}. It has: {known}.")
        for value in _values_in(setting):
            check_value(parameter, value, where)


def _values_in(setting: Any) -> Iterable[Any]:
    if isinstance(setting, dict):
        yield from _values_in(setting.get("value"))
    elif isinstance(setting, list):
        for each in setting:
            yield from _values_in(each)
    else:
        yield setting


def check_value(parameter: Parameter, value: Any, where: str) -> None:
    """Raises ``RecipeError`` for what the parameter does not take."""
    if isinstance(value, str):
        value = TRUTHS.get(value.lower(), _number(value))
    if parameter.kind is bool and value in (0, 1):
        return
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e9
    is_known = parameter.kind is not bool and is_number
    if is_known and (parameter.kind is float or value == int(value)):
        return
    wanted = {bool: "true or false", int: "a whole number"}.get(parameter.kind, "a number")
    raise RecipeError(f"{where}: {parameter.name} is {wanted}, not {value!r}.")


def _number(text: str) -> Any:
    try:
        return float(text)  # YAML reads 1e-5 as a word
    except ValueError:
        return text


def _count(sources: Sequence[str], base: str, method: Method) -> None:
    if twice := next((name for name, count in Counter(sources).items() if count > 1), ""):
        raise RecipeError(f"{twice} stands twice beside itself: a model counts once.")
    if method.base == NEEDED and not base:
        raise RecipeError(f"{method.name} needs a base_model.")
    has_base = bool(base) and method.base != IGNORED
    others = len([name for name in sources if not (has_base and name == base)])
    beside = " beside the base" if has_base else ""
    if others < method.least:
        raise RecipeError(
            f"{method.name} needs {method.least} or more models{beside}, and has {others}."
        )
    if method.most is not None and others > method.most:
        raise RecipeError(f"{method.name} takes {method.most} models{beside}, and has {others}.")


def _dtype(data: Mapping[str, Any]) -> None:
    for name in ("dtype", "out_dtype"):
        found = data.get(name)
        if found and str(found).removeprefix("torch.") not in DTYPES:
            raise RecipeError(f"{name} {found} is unknown. There are: {', '.join(DTYPES)}.")


def _list(data: Mapping[str, Any], name: str) -> list[Any]:
    found = data.get(name)
    if not isinstance(found, list) or not found:
        raise RecipeError(f"{name} is a list with at least one entry.")
    return found


def _known(data: Mapping[str, Any], keys: Sequence[str], where: str) -> None:
    for key in data:
        if key not in keys:
            near = difflib.get_close_matches(str(key), keys, 1)
            hint = f" Did you mean {near[0]}?" if near else f" It has: {', '.join(keys)}."
            raise RecipeError(f"{where} has no {key}.{hint}")
