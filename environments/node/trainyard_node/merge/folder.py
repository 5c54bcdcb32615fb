"""What makes a folder of weights a whole model: configuration, tokenizer, template, model card."""

import json
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from trainyard_node.export.refused import Refused
from trainyard_node.merge.beside import OF_MODEL, TOKENIZER, copy_beside, files_beside
from trainyard_node.merge.digests import MEANING
from trainyard_node.merge.layout import EMBEDDING, HEAD, Piece, layer_count
from trainyard_node.merge.recipe import Recipe
from trainyard_node.merge.stored import Stored, read_json
from trainyard_node.merge.templates import FILE, template_of
from trainyard_node.merge.tied import KEY, is_tied
from trainyard_node.merge.vocabularies import Vocabulary

# Configurations tell by a layer's number of which sort it is; with these values all are alike.
BY_POSITION: Mapping[str, Any] = {
    "mlp_only_layers": [], "moe_layers": [], "first_k_dense_replace": 0, "decoder_sparse_step": 1,
    "interleave_moe_layer_step": 1, "no_rope_layer_interval": 1, "attn_layer_period": 1,
    "expert_layer_period": 1, "full_attn_idxs": [],
}  # fmt: skip
NUMBERS_LAYERS = ("mlp_only_layers", "moe_layers", "full_attn_idxs")
ALTERNATING = ("gemma2", "gemma3", "gemma3_text", "cohere2")  # have windows in some layers

GENERATION = "generation_config.json"
MOST_TOKENS = 20  # that a model card names
Models = Mapping[str, Stored]


def check_beside(recipe: Recipe, models: Models) -> None:
    """Raises Refused where the recipe's template cannot be had, or a file beside the weights cannot
    be taken over."""
    files_beside(_first(recipe, models).folder, (*OF_MODEL, *TOKENIZER))
    _template(recipe, models)


def complete(
    recipe: Recipe, models: Models, pieces: Sequence[Piece], folder: Path,
    vocabulary: Vocabulary | None = None,
) -> None:  # fmt: skip
    """Write all but the weights into `folder`."""
    first = _first(recipe, models)
    copy_beside(first.folder, OF_MODEL, folder)
    config = config_of(recipe, models, pieces)
    if vocabulary is None:
        copy_beside(first.folder, TOKENIZER, folder)
    else:
        vocabulary.tokenizer.save_pretrained(folder)
        base = recipe.base or recipe.models[0]
        config = vocabulary.renumbered(config, base)
        if (path := folder / GENERATION).is_file():
            _write(path, vocabulary.renumbered(read_json(path), base))
    _write(folder / "config.json", config)
    if template := _template(recipe, models):
        (folder / FILE).write_text(template)
    (folder / "README.md").write_text(card(recipe, models, vocabulary))


def _first(recipe: Recipe, models: Models) -> Stored:
    """The model whose configuration the result has."""
    return models[recipe.base or recipe.models[0]]


def _template(recipe: Recipe, models: Models) -> str:
    return template_of(recipe.chat_template, [each.folder for each in models.values()])


def config_of(recipe: Recipe, models: Models, pieces: Sequence[Piece]) -> dict[str, Any]:
    """The base's configuration with the result's type, number of layers and tied embeddings."""
    config = dict(_first(recipe, models).config)
    kinds = [str(piece.dtype) for piece in pieces if piece.dtype.is_floating_point]
    if not kinds:
        raise Refused("The models have no tensor of floating point.")
    dtype = kinds[0]
    config.pop("torch_dtype", None)
    config["dtype"] = dtype.removeprefix("torch.")
    names = {piece.name for piece in pieces}
    if HEAD in names and any(name.endswith(EMBEDDING) for name in names):
        config[KEY] = all(is_tied(each.config) for each in models.values())
    if not recipe.is_whole:
        config |= _of_layers(recipe, models)
    return config


def _of_layers(recipe: Recipe, models: Models) -> dict[str, Any]:
    """The keys of the configuration that count layers, or say something of each."""
    config = _first(recipe, models).config
    found: dict[str, Any] = {}
    taken = [
        (models[each.sources[0].model], number)
        for each in recipe.slices
        for number in range(*(each.sources[0].layers or (0, 0)))
    ]
    found["num_hidden_layers"] = len(taken)
    for stored, _ in taken:
        _check_positions(stored, [number for one, number in taken if one is stored], len(taken))
    own = layer_count(_first(recipe, models))
    for key, value in config.items():
        is_of_each = isinstance(value, list) and len(value) == own and key not in NUMBERS_LAYERS
        if is_of_each and key.endswith(("_types", "_layers")):
            told = [_at(stored.config.get(key), number) for stored, number in taken]
            if None not in told:
                found[key] = told
    return found


def _check_positions(stored: Stored, numbers: Sequence[int], made: int) -> None:
    """Some configurations say by a layer's number of which sort it is. Raises Refused where layers
    get other numbers then."""
    if made == len(numbers) and list(numbers) == list(range(layer_count(stored))):
        return
    config = stored.config
    telling = [key for key, plain in BY_POSITION.items() if config.get(key) not in (None, plain)]
    if "layer_types" not in config and _has_windows(config):
        telling.append("The window")
    if telling:
        raise Refused(
            f"{telling[0]} of {stored.root} says by their numbers which layers are of which sort: "
            "its layers cannot be left out, doubled or put in another order."
        )


def _has_windows(config: Mapping[str, Any]) -> bool:
    """Whether some layers have a window, by their numbers."""
    is_of_some = config.get("use_sliding_window") and config.get("max_window_layers")
    alternates = config.get("model_type") in ALTERNATING or config.get("sliding_window_pattern")
    return bool(is_of_some or alternates)


def _at(values: Any, number: int) -> Any:
    return values[number] if isinstance(values, list) and number < len(values) else None


def card(recipe: Recipe, models: Models, vocabulary: Vocabulary | None = None) -> str:
    """The model card: the recipe, its inputs and the versions."""
    lines = [
        "---", "tags: [merge]", "---", "", f"# A merge by {recipe.method.name}", "",
        recipe.method.about, "", "```yaml", recipe.text.strip(), "```", "", "## Inputs", "",
    ]  # fmt: skip
    for name, stored in models.items():
        size = sum(entry.bytes for entry in stored.entries.values())
        digests = ", ".join(f"SHA-256 `{each}`" for each in stored.inputs().values())
        lines.append(f"- `{name}`: {len(stored.entries)} tensors, {size} bytes, {digests}")
    if vocabulary and (tokens := vocabulary.in_no_model()):
        named = json.dumps(tokens[:MOST_TOKENS])[1:-1]
        lines += [
            "",
            f"Tokens that no model has ({len(tokens)}), whose embeddings are zeros: {named}.",
        ]
    lines += ["", MEANING, "", "## Made with", ""]
    lines += [f"- {name} {version(name)}" for name in ("trainyard-node", "torch", "safetensors")]
    return "\n".join(lines) + "\n"


def token_numbers(folder: Path) -> dict[str, int]:
    """Each token's number; empty where the folder has no tokenizer."""
    try:
        if (folder / "tokenizer.json").is_file():
            data = json.loads((folder / "tokenizer.json").read_text())
            vocabulary = data["model"]["vocab"]
            if isinstance(vocabulary, list):  # of unigrams: [token, score] in their order
                vocabulary = {token: number for number, (token, _) in enumerate(vocabulary)}
            return {**vocabulary, **{each["content"]: each["id"] for each in data["added_tokens"]}}
        if (folder / "vocab.json").is_file():
            return dict(json.loads((folder / "vocab.json").read_text()))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Refused(f"The tokenizer of {folder} cannot be read: {error!r}") from error
    return {}


def _write(path: Path, data: Any) -> None:
    path.write_text(json.dumps(data, indent=2) + "\n")
