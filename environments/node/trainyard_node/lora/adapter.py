"""An adapter's folder as peft writes it: what it changes in a model, and by how much.

The change of a weight is `alpha / r * B A` (Hu et al. 2021, https://arxiv.org/abs/2106.09685,
section 4.1), with rsLoRA `alpha / sqrt(r) * B A` (https://arxiv.org/abs/2312.03732). DoRA scales
each output of the changed weight to a length of its own (https://arxiv.org/abs/2402.09353).
"""

import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from trainyard_node.export.adapter import PREFIX, plain
from trainyard_node.export.program import is_number
from trainyard_node.export.refused import Refused
from trainyard_node.merge.inputs import is_finite
from trainyard_node.merge.shape import some_rows

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
BESIDE = "lora_adapter"  # where an export of verl's checkpoints keeps it, beside the weights
PART = re.compile(
    r"(.+)\.lora_(A|B|embedding_A|embedding_B|magnitude_vector)(?:\.default)?(?:\.weight)?"
)
SAVED = re.compile(r"\.(?:modules_to_save|original_module)(?:\.default)?\.")
# Of peft's configuration: with these, the adapter means something else than the sum above.
UNKNOWN = (
    "alora_invocation_tokens", "arrow_config", "ensure_weight_tying", "kasa_config",
    "layer_replication", "lora_bias", "monteclora_config", "target_parameters",
    "trainable_token_indices", "use_bdlora", "use_qalora", "velora_config",
)  # fmt: skip
# The starts that leave the base's weights as they are. Others, such as PiSSA's, change them.
STARTS = (True, False, "gaussian", "eva", "orthogonal", None)


@dataclass
class Pair:
    """The matrices of one module: `down` is A, (r, in), and `up` is B, (out, r)."""

    down: str
    up: str
    scale: float
    is_turned: bool = False  # the weight is (in, out): fan_in_fan_out, or an embedding
    magnitude: str = ""  # of DoRA: the lengths of the outputs, (out,)


@dataclass
class Adapter:
    """`pairs` are by the weight that they change, `saved` are tensors that take the place of the
    model's own; all names are those of the model. `weight` is the adapter's share in a merge."""

    folder: Path
    weight: float
    config: Mapping[str, Any]
    pairs: dict[str, Pair] = field(default_factory=dict)
    saved: dict[str, str] = field(default_factory=dict)
    _held: Any = None

    def tensor(self, name: str) -> Tensor:
        """One tensor in its own type. Raises Refused where it holds NaN or infinite values."""
        found: Tensor = self._held.get_tensor(name)
        if not is_finite(found):
            raise Refused(f"{name} of {self.folder} holds NaN or infinite values.")
        return found

    def rows(self, name: str, first: int, end: int) -> Tensor:
        """Rows of a matrix; a vector is one row. Raises Refused as `tensor` does."""
        if len(self.shape(name)) < 2:
            return self.tensor(name).reshape(1, -1)
        found = some_rows([self._held.get_slice(name)], self.shape(name), first, end, 0)
        if not is_finite(found):
            raise Refused(f"{name} of {self.folder} holds NaN or infinite values.")
        return found

    def digest(self) -> str:
        """The SHA-256 of the file of its weights."""
        with (self.folder / WEIGHTS).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def shape(self, name: str) -> tuple[int, ...]:
        return tuple(self._held.get_slice(name).get_shape())


def open_adapter(folder: Path, weight: float = 1.0) -> Adapter:
    """Raises Refused where it is no LoRA adapter, is not whole, or is of a kind that is not merged.

    A folder that an export made with its adapter kept has it in `lora_adapter`.
    """
    if not (folder / CONFIG).is_file() and (folder / BESIDE / CONFIG).is_file():
        folder = folder / BESIDE
    config = _config(folder)
    made = Adapter(folder, weight, config, _held=_opened(folder))
    odd = _sort(made, made._held.keys())
    if odd or not (made.pairs or made.saved):
        what = f"{len(odd)} tensors without a pair, the first is {odd[0]}" if odd else "no tensors"
        raise Refused(f"The adapter {folder} has {what}.")
    for name, pair in made.pairs.items():
        _settle(made, name, pair)
    return made


def pattern_value(patterns: Mapping[str, Any], module: str, default: Any) -> Any:
    """The value of the first pattern that fits the end of a module's name, as peft looks it up."""
    for pattern, value in patterns.items():
        if re.match(rf"(.*\.)?({pattern})$", module):
            return value
    return default


def _config(folder: Path) -> dict[str, Any]:
    try:
        config = json.loads((folder / CONFIG).read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise Refused(f"{folder} is no adapter: {CONFIG} cannot be read: {error}") from error
    if not isinstance(config, dict) or config.get("peft_type") != "LORA":
        raise Refused(f"{folder} is no LoRA adapter: {CONFIG} does not say peft_type LORA.")
    _check_patterns(config, folder)
    for key in UNKNOWN:
        if config.get(key):
            raise Refused(f"The adapter {folder} was trained with {key}, which is not merged here.")
    if config.get("init_lora_weights", True) not in STARTS:
        raise Refused(
            f"The adapter {folder} began with {config['init_lora_weights']!r}, which changes the "
            "base's weights. Convert it to a plain LoRA with peft first."
        )
    return config


def _check_patterns(config: Mapping[str, Any], folder: Path) -> None:
    """Raises Refused unless ranks and alphas by module are as peft writes them."""
    for key in ("rank_pattern", "alpha_pattern"):
        patterns = config.get(key) or {}
        if not isinstance(patterns, dict) or not all(map(is_number, patterns.values())):
            raise Refused(f"{key} in {CONFIG} of {folder} is a mapping of modules to numbers.")
        for pattern in patterns:
            try:
                re.compile(pattern)
            except re.error as error:
                raise Refused(
                    f"{key} in {CONFIG} of {folder} has {pattern!r}, which is no pattern: {error}."
                ) from error


def _opened(folder: Path) -> Any:
    path = folder / WEIGHTS
    if not path.is_file() and (folder / "adapter_model.bin").is_file():
        raise Refused(f"{folder} holds a pickle. Save the adapter as {WEIGHTS}.")
    try:
        return safe_open(path, "pt")
    except (SafetensorError, OSError) as error:
        raise Refused(f"{path} cannot be read, it may be cut off: {error}") from error


def _sort(made: Adapter, names: Iterable[str]) -> list[str]:
    """Put each tensor into its place; gives those that have none."""
    parts: dict[str, dict[str, str]] = {}
    for name in sorted(names):
        if match := PART.fullmatch(name):
            parts.setdefault(match[1].removeprefix(PREFIX), {})[match[2]] = name
        elif "lora_" in name:
            return [name]
        else:
            made.saved[plain(SAVED.sub(".", name))] = name
    is_turned, is_dora = bool(made.config.get("fan_in_fan_out")), bool(made.config.get("use_dora"))
    odd = []
    for module, found in parts.items():
        magnitude = found.pop("magnitude_vector", "")
        if found.keys() == {"A", "B"} and bool(magnitude) == is_dora:
            pair = Pair(found["A"], found["B"], 0.0, is_turned, magnitude)
        elif found.keys() == {"embedding_A", "embedding_B"} and not magnitude:
            pair = Pair(found["embedding_A"], found["embedding_B"], 0.0, is_turned=True)
        else:
            odd += [*found.values(), magnitude]
            continue
        made.pairs[f"{module}.weight"] = pair
    return odd


def _settle(made: Adapter, name: str, pair: Pair) -> None:
    """Check the shapes of a pair and set its scale."""
    module, config = name.removesuffix(".weight"), made.config
    down, up = made.shape(pair.down), made.shape(pair.up)
    rank = pattern_value(config.get("rank_pattern") or {}, module, config.get("r"))
    alpha = pattern_value(config.get("alpha_pattern") or {}, module, config.get("lora_alpha"))
    if len(down) != 2 or len(up) != 2 or down[0] != up[1]:
        raise Refused(f"The adapter of {module} in {made.folder} is no pair of matrices.")
    if rank != down[0] or not is_number(alpha) or not alpha:
        raise Refused(
            f"{CONFIG} of {made.folder} says rank {rank} and alpha {alpha} of {module}, whose "
            f"matrices have rank {down[0]}: what the adapter means is not known."
        )
    pair.scale = alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)
