"""The difference of two models as an adapter, by the singular values of each weight's change."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from trainyard_node.comparing.places import EMBED, HEAD, place_of
from trainyard_node.export.adapter import PREFIX
from trainyard_node.export.refused import Refused
from trainyard_node.export.told import Told
from trainyard_node.lora.adapter import CONFIG, WEIGHTS
from trainyard_node.lora.low_rank import LowRank, low_rank
from trainyard_node.lora.output import make_safe
from trainyard_node.lora.spool import Spool
from trainyard_node.merge.inputs import CHUNK, is_finite
from trainyard_node.merge.shape import rows_and_width
from trainyard_node.merge.stored import Entry, Stored

REPORT, SPOOL = "extraction.json", ".spool"
BYTES = 4  # of a number of the adapter: it is written in float32


@dataclass(frozen=True)
class Wanted:
    """How exact the adapter is: a rank, or the share of each change that it must have. With
    `keeps`, changed tensors that are no LoRA's lie beside it whole."""

    rank: int | None = None
    energy: float | None = None
    keeps: bool = False


@dataclass
class Extracted:
    """What was made: by module, its rank, its error relative to its change, and the change's
    length. `left_out` are changed tensors that the adapter does not have, `kept` those that lie
    beside it whole."""

    modules: list[dict[str, Any]] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    tensors: int = 0

    @property
    def error(self) -> float:
        """Of all modules together."""
        missing = sum((each["error"] * each["distance"]) ** 2 for each in self.modules)
        whole = sum(each["distance"] ** 2 for each in self.modules)
        return float((missing / whole) ** 0.5) if whole else 0.0


def check(base: Stored, tuned: Stored) -> None:
    """Raises Refused unless the two have the same tensors in the same shapes."""
    for one, other in ((base, tuned), (tuned, base)):
        if extra := sorted(one.entries.keys() - other.entries.keys()):
            more = f" and {len(extra) - 1} more" if extra[1:] else ""
            raise Refused(f"{one.root} has {extra[0]}{more}, which {other.root} has not.")
    for name, entry in base.entries.items():
        if entry.shape != (own := tuned.entries[name].shape):
            raise Refused(
                f"{name} is {list(entry.shape)} in {base.root} and {list(own)} in {tuned.root}."
            )


def most_bytes(base: Stored, wanted: Wanted) -> int:
    """The most bytes that the adapter can have, without what is kept whole."""
    return sum(_most(entry, wanted) for entry in base.entries.values() if is_for_lora(entry))


def is_for_lora(entry: Entry) -> bool:
    """Whether a tensor can have an adapter: the matrix of a layer or of the head."""
    if len(entry.shape) != 2 or not entry.dtype.is_floating_point:
        return False
    return entry.name.endswith(".weight") and place_of(entry.name)[1] not in (EMBED, HEAD)


def extract(models: tuple[Stored, Stored], wanted: Wanted, folder: Path, told: Told) -> Extracted:
    """Write the adapter into `folder`, which is there and empty. Raises Refused."""
    base, tuned = models
    for each in models:
        each.watch()
    told.plan(2 * sum(entry.bytes for entry in base.entries.values()), most_bytes(base, wanted))
    made, tensors, ranks = Extracted(), Spool(folder / SPOOL), dict[str, int]()
    for name, entry in base.entries.items():
        if is_for_lora(entry):
            found = _of_module(models, name, wanted)
            if found is not None:
                _add(name, found, made, tensors, ranks)
        elif _is_changed(models, name):
            _keep(tuned, name, wanted, made, tensors)
        told.read(entry.bytes + tuned.entries[name].bytes)
    if not len(tensors):
        what = f": {made.left_out[0]} cannot be in a LoRA" if made.left_out else ""
        raise Refused(f"{base.root} and {tuned.root} do not differ in what a LoRA can have{what}.")
    _complete_kept(models, made, tensors)
    made.tensors = len(tensors)
    tensors.write(folder, WEIGHTS, told.written)
    _write(folder / CONFIG, _config(base, made, ranks))
    _write(folder / REPORT, {"error": made.error, "modules": made.modules, "kept": made.kept,
                             "left_out": made.left_out, "base": str(base.root),
                             "tuned": str(tuned.root)})  # fmt: skip
    make_safe(folder)
    return made


def _most(entry: Entry, wanted: Wanted) -> int:
    least = min(entry.shape)
    rank = least if wanted.rank is None else min(wanted.rank, least)
    return BYTES * rank * sum(entry.shape)


def _of_module(models: tuple[Stored, Stored], name: str, wanted: Wanted) -> LowRank | None:
    """None where nothing changed."""
    rows = models[0].entries[name].shape[0]
    apart = _checked(models[1], name, 0, rows).float()
    apart = apart - _checked(models[0], name, 0, rows).float()
    return low_rank(apart, wanted.rank, wanted.energy) if bool(apart.any()) else None


def _add(name: str, found: LowRank, made: Extracted, tensors: Spool, ranks: dict[str, int]) -> None:
    module = name.removesuffix(".weight")
    tensors.add(f"{PREFIX}{module}.lora_A.weight", found.down)
    tensors.add(f"{PREFIX}{module}.lora_B.weight", found.up)
    ranks[module] = found.rank
    made.modules.append(
        {
            "module": module,
            "rank": found.rank,
            "error": found.error,
            "distance": found.distance,
        }
    )


def _is_changed(models: tuple[Stored, Stored], name: str) -> bool:
    rows, width = rows_and_width(models[0].entries[name].shape)
    step = max(1, CHUNK // max(1, width))
    is_changed = False
    for first in range(0, rows, step):
        one, other = (_checked(each, name, first, min(rows, first + step)) for each in models)
        is_changed |= not torch.equal(one, other)
    return is_changed


def _checked(stored: Stored, name: str, first: int, end: int) -> Tensor:
    part = stored.rows(name, first, end)
    if part.is_floating_point() and not is_finite(part):
        raise Refused(f"{name} of {stored.root} holds NaN or infinite values.")
    return part


def _keep(tuned: Stored, name: str, wanted: Wanted, made: Extracted, tensors: Spool) -> None:
    """Keep a whole tensor, or say that it is left out: a bias is of a module with an adapter."""
    if not wanted.keeps or not name.endswith(".weight"):
        made.left_out.append(name)
        return
    made.kept.append(name)
    tensors.add(PREFIX + name, _whole(tuned, name))


def _complete_kept(models: tuple[Stored, Stored], made: Extracted, tensors: Spool) -> None:
    """peft keeps all modules of a name or none: those of the others that did not change."""
    suffixes = tuple({_suffix(name) for name in made.kept})
    for name, entry in models[1].entries.items():
        # peft goes by the end of a module's name: "norm" is the end of "input_layernorm" too.
        is_one = name.endswith(".weight") and name.removesuffix(".weight").endswith(suffixes)
        if is_one and PREFIX + name not in tensors and not is_for_lora(entry):
            tensors.add(PREFIX + name, _whole(models[1], name))


def _whole(stored: Stored, name: str) -> Tensor:
    entry = stored.entries[name]
    rows = rows_and_width(entry.shape)[0]
    return _checked(stored, name, 0, rows).reshape(entry.shape).clone()


def _config(base: Stored, made: Extracted, ranks: Mapping[str, int]) -> dict[str, Any]:
    """peft's configuration: alpha is the rank, so that the scale is 1."""
    rank = Counter(ranks.values()).most_common(1)[0][0] if ranks else 1
    patterns = {module: own for module, own in ranks.items() if own != rank}
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": str(base.root),
        "r": rank,
        "lora_alpha": rank,
        "rank_pattern": patterns,
        "alpha_pattern": patterns,
        "target_modules": _targets(base, ranks),
        "modules_to_save": sorted({_suffix(name) for name in made.kept}) or None,
        "lora_dropout": 0.0,
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
        "peft_version": version("peft"),
    }


def _targets(base: Stored, ranks: Mapping[str, int]) -> list[str]:
    """The last parts of the modules' names, or whole names where those would fit others too."""
    suffixes = {module.rsplit(".", 1)[-1] for module in ranks}
    others = {
        name.removesuffix(".weight")
        for name, entry in base.entries.items()
        if len(entry.shape) == 2 and name.endswith(".weight")
    } - ranks.keys()
    if any(module.rsplit(".", 1)[-1] in suffixes for module in others):
        return sorted(ranks)
    return sorted(suffixes)


def _suffix(name: str) -> str:
    return name.removesuffix(".weight").rsplit(".", 1)[-1]


def _write(path: Path, data: Any) -> None:
    path.write_text(json.dumps(data, indent=2) + "\n")


def named(names: Sequence[str]) -> str:
    """The first of several names, and how many there are besides."""
    more = f" and {len(names) - 1} more" if names[1:] else ""
    return f"{names[0]}{more}"
