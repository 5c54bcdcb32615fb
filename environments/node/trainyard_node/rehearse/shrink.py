"""The job's model made small: the same architecture with random weights, the same tokenizer."""

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from trainyard_node.rehearse.cut import cuts
from trainyard_node.rehearse.plan import Fault, Move, Plan, sentence

SEED = 7
MOST_PARAMETERS = 150_000_000
TRIED = 8  # tokens of the pass that shows that the small model computes
WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".gguf", ".h5", ".msgpack", ".onnx")


def check_models(plan: Plan) -> str:
    """Make the small models where the trainer's command expects them."""
    return sentence(*(f"{name}: {small(move, plan)}" for name, move in plan.models.items()))


def small(move: Move, plan: Plan) -> str:
    """Make one small model; say what it is."""
    source = folder_of(move.source)
    config = read_config(source)
    target = Path(move.target)
    target.mkdir(parents=True, exist_ok=True)
    with quietly():
        model = first_that_computes(config, move.source)
        count = sum(weight.numel() for weight in model.parameters())
        check_adapter(model, plan.lora)
        model.save_pretrained(target)
    copy_rest(source, target)
    kept = model.config.to_dict()
    layers = kept.get("num_hidden_layers") or kept.get("text_config", {}).get("num_hidden_layers")
    return (
        f"{config.get('model_type')} with random weights, {layers} layers and "
        f"{count / 1e6:.1f} M parameters in place of {move.source}"
    )


def folder_of(source: str) -> Path:
    """The folder of a model that is named by a path or by its hub name. Raises Fault."""
    if Path(source).is_dir():
        return Path(source)
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(source, local_files_only=True))
    except Exception:
        raise Fault(
            f"There is no folder {source}, nor such a model in this machine's cache."
        ) from None


def read_config(folder: Path) -> dict[str, Any]:
    try:
        config = json.loads((folder / "config.json").read_text())
    except FileNotFoundError:
        raise Fault(f"{folder} has no config.json: it is no model.") from None
    except (OSError, ValueError) as error:
        raise Fault(f"{folder}/config.json cannot be read: {error}.") from None
    if not isinstance(config, dict) or not config.get("model_type"):
        raise Fault(f"{folder}/config.json names no model_type.")
    return config


def first_that_computes(config: Mapping[str, Any], name: str) -> Any:
    """The smallest model of this architecture that can be made. Raises Fault."""
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    if config["model_type"] not in CONFIG_MAPPING:
        raise Fault(f"The transformers here has no architecture {config['model_type']}.")
    why: Exception | None = None
    for cut in cuts(config):
        try:
            return computing(cut)
        except Exception as error:  # a model's own code refuses in its own way
            why = why or error
    raise Fault(f"No small model of {name} can be made: {type(why).__name__}: {why}") from why


def computing(config: dict[str, Any]) -> Any:
    """A float32 model of a configuration, after one pass. Raises what its code raises."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    kept = {key: value for key, value in config.items() if key != "quantization_config"}
    made = AutoConfig.for_model(**{**kept, "dtype": "float32"})
    torch.manual_seed(SEED)
    with torch.device("meta"):
        planned = AutoModelForCausalLM.from_config(made)
    count = sum(weight.numel() for weight in planned.parameters())
    if count > MOST_PARAMETERS:
        raise ValueError(f"it would have {count / 1e6:.0f} M parameters")
    model = AutoModelForCausalLM.from_config(made).float()
    with torch.no_grad():
        logits = model(input_ids=torch.zeros((1, TRIED), dtype=torch.long)).logits
    if not torch.isfinite(logits).all():
        raise ValueError("its outputs are not finite")
    return model


def check_adapter(model: Any, modules: str) -> None:
    """Whether a LoRA adapter finds the layers that it is told to change."""
    names = [name.strip() for name in modules.strip("[] ").split(",") if name.strip()]
    if not names or names == ["all-linear"]:
        return
    there = {name.rpartition(".")[2] for name, _ in model.named_modules()}
    whole = [name for name, _ in model.named_modules()]
    for name in names:
        if name not in there and not any(each.endswith(f".{name}") for each in whole):
            known = ", ".join(sorted(each for each in there if each.endswith("proj"))) or "others"
            raise Fault(f"The model has no layer {name} for LoRA; it has {known}.")


def copy_rest(source: Path, target: Path) -> None:
    """The tokenizer and what else lies beside the weights, but not the model's configuration."""
    for file in source.iterdir():
        name = file.name
        is_weight = name.endswith((*WEIGHTS, ".index.json")) or name == "config.json"
        if file.is_file() and not is_weight and not name.startswith("."):
            shutil.copyfile(file, target / name)


@contextmanager
def quietly() -> Iterator[None]:
    """One thread, and no progress bars between the lines of the log."""
    import torch
    from transformers.utils import logging

    torch.set_num_threads(1)
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    yield
