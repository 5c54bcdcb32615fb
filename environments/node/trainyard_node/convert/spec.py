"""What a conversion is asked for, and the recipe of the merge engine that does it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from trainyard_node.convert.schemes import SCHEMES
from trainyard_node.convert.vocabulary import Resized
from trainyard_node.export.program import check_keys, path_of
from trainyard_node.export.refused import Refused
from trainyard_node.merge.merging import SHARD, Plan, plan
from trainyard_node.merge.recipe import read_recipe
from trainyard_node.merge.stored import Stored

MOST = 10**15  # bytes or rows
KEYS = ("source", "dtype", "shard_bytes", "vocab", "layers", "quantize")


@dataclass(frozen=True)
class Conversion:
    """`dtype` empty: the source's own. `layers` are the source's, in their new order; None: all as
    they are. `vocab` 0: the source's size. `quantize`: a name of SCHEMES, or empty."""

    source: Path
    dtype: str = ""
    shard_bytes: int = SHARD
    vocab: int = 0
    layers: tuple[int, ...] | None = None
    quantize: str = ""

    def plan(self) -> Plan:
        """Raises Refused where the source cannot be converted so."""
        return plan(read_recipe(self.recipe()), self.shard_bytes, self._change())

    def recipe(self) -> str:
        """As YAML. Its first line says what the recipe has no key for."""
        recipe: dict[str, Any] = {"merge_method": "passthrough"}
        model = {"model": str(self.source)}
        if self.layers is None:
            recipe["models"] = [model]
        else:
            parts = [[{**model, "layer_range": [each, each + 1]}] for each in self.layers]
            recipe["slices"] = [{"sources": sources} for sources in parts]
        if self.dtype:
            recipe["dtype"] = self.dtype
        said = f"# {self.vocab} rows of vocabulary; new ones are the mean of the old\n"
        return (said if self.vocab else "") + yaml.safe_dump(recipe, sort_keys=False)

    def _change(self) -> Callable[[Stored], Stored] | None:
        return (lambda stored: Resized(stored, self.vocab)) if self.vocab else None


def read_spec(spec: Mapping[str, Any]) -> Conversion:
    """Raises Refused with a sentence that names the part which is wrong."""
    check_keys(spec, KEYS)
    return Conversion(
        source=path_of(spec.get("source"), "source"),
        dtype=_word(spec.get("dtype")),
        shard_bytes=_count(spec, "shard_bytes") or SHARD,
        vocab=_count(spec, "vocab"),
        layers=_layers(spec.get("layers")),
        quantize=_scheme(spec.get("quantize")),
    )


def _scheme(value: Any) -> str:
    if value is not None and value not in SCHEMES:
        raise Refused(f"quantize is {' or '.join(SCHEMES)}, not {value!r}.")
    return value or ""


def _word(value: Any) -> str:
    if value is not None and not isinstance(value, str):
        raise Refused(f"dtype is a word such as bfloat16, not {value!r}.")
    return value or ""


def _count(spec: Mapping[str, Any], name: str) -> int:
    """0 where it is not given."""
    value = spec.get(name)
    if value is None:
        return 0
    if type(value) is not int or not 1 <= value <= MOST:
        raise Refused(f"{name} is a whole number from 1 to {MOST}, not {value!r}.")
    return value


def _layers(value: Any) -> tuple[int, ...] | None:
    if value is None:
        return None
    is_list = isinstance(value, list) and value
    if not is_list or any(type(each) is not int or each < 0 for each in value):
        raise Refused(f"layers is a list of numbers of layers, such as [0, 1, 1], not {value!r}.")
    return tuple(value)
