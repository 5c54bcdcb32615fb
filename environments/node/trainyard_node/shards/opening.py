"""A model to read, whichever way it was saved."""

from pathlib import Path

from trainyard_node.examine import FOLDER
from trainyard_node.merge.stored import Stored


def open_model(path: Path) -> Stored:
    """A Hugging Face folder, whatever its name, or a checkpoint of verl. Raises Refused."""
    if not FOLDER.fullmatch(path.name) or path.joinpath("config.json").is_file():
        return Stored(path)
    # PyTorch's distributed tensors take most of a second to import, and folders need none of them.
    from trainyard_node.shards.checkpoint import Checkpoint

    return Checkpoint(path)
