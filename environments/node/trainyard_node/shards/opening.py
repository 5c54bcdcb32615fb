"""A model to read, whichever way it was saved."""

from pathlib import Path

from trainyard_node.examine import FOLDER
from trainyard_node.merge.recipe import WITH
from trainyard_node.merge.stored import Stored


def open_model(path: Path) -> Stored:
    """A Hugging Face folder, whatever its name, or a checkpoint of verl. Raises Refused."""
    if not FOLDER.fullmatch(path.name) or path.joinpath("config.json").is_file():
        return Stored(path)
    # PyTorch's distributed tensors take most of a second to import, and folders need none of them.
    from trainyard_node.shards.checkpoint import Checkpoint

    return Checkpoint(path)


def open_named(name: str) -> Stored:
    """A model as a recipe names it: PATH, or PATH+ADAPTER with a LoRA adapter in it. Raises
    Refused."""
    path, _, adapter = name.partition(WITH)
    stored = open_model(Path(path).expanduser().absolute())
    if not adapter:
        return stored
    from trainyard_node.lora.adapted import Adapted
    from trainyard_node.lora.adapter import open_adapter

    return Adapted(stored, open_adapter(Path(adapter).expanduser().absolute()))
