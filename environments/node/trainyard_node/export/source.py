"""The checkpoint that is exported: which of its folders holds the model, and whether it is whole.

Nothing is loaded here.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainyard_node.checkpoints import TRACKER
from trainyard_node.examine import CONFIG, FOLDER, LORA, PARTS, Shards
from trainyard_node.export.refused import Refused
from trainyard_node.saved import Damaged, check_torch, read_json

# Configuration, tokenizer and chat template, as verl puts them beside the shards.
DESCRIPTION = "huggingface"


@dataclass(frozen=True)
class Source:
    """`folder` holds the shards (`global_step_N`, or its `actor` in RL), one a rank."""

    step: int
    folder: Path
    shards: tuple[Path, ...]

    @property
    def description(self) -> Path:
        return self.folder / DESCRIPTION

    @property
    def size(self) -> int:
        """Bytes of all shards."""
        return sum(path.stat().st_size for path in self.shards)

    def adapter(self) -> dict[str, Any]:
        """Rank and alpha of the LoRA adapter as verl saved them; empty where there is none."""
        path = self.folder / LORA
        if not path.exists():
            return {}
        try:
            facts = read_json(path)
        except Damaged as error:
            raise Refused(f"{LORA} is damaged: {error}.") from None
        return facts if isinstance(facts, dict) else {}


def find_source(checkpoint: Path) -> Source:
    """The model in a `global_step_N` folder. Raises Refused unless its shards are all whole."""
    match = FOLDER.fullmatch(checkpoint.name)
    if match is None:
        raise Refused(f"{checkpoint.name} is no checkpoint: its name is not global_step_N.")
    if not checkpoint.is_dir():
        raise Refused(f"There is no folder {checkpoint}.")
    step = int(match[1])
    _check_saved(checkpoint, step)
    folder = checkpoint / "actor" if (checkpoint / "actor").is_dir() else checkpoint
    shards = _shards(folder, "" if folder == checkpoint else "actor/")
    _check_description(folder / DESCRIPTION)
    return Source(step, folder, shards)


def _check_saved(checkpoint: Path, step: int) -> None:
    """verl writes the tracker when a checkpoint is whole. Some folders came without one."""
    try:
        last = int((checkpoint.parent / TRACKER).read_text())
    except (OSError, ValueError):
        return
    if step > last:
        raise Refused(
            f"The checkpoint of step {step} is not complete: verl says that the last one it "
            f"finished is of step {last}."
        )


def _shards(folder: Path, within: str) -> tuple[Path, ...]:
    size = Shards(folder).world_size
    if not size:
        raise Refused(f"There is no model in {within or 'the checkpoint'}: saving was cut off.")
    shards = tuple(folder / f"model_world_size_{size}_rank_{rank}.pt" for rank in range(size))
    missing = [rank for rank, path in enumerate(shards) if not path.exists()]
    if missing:
        ranks = ", ".join(map(str, missing))
        raise Refused(
            f"{PARTS['model']} of {len(missing)} of {size} ranks is missing (rank {ranks}): "
            f"{within}{shards[missing[0]].name} is not there."
        )
    for path in shards:
        _check_whole(path, within)
    if not (folder / CONFIG).exists():
        raise Refused(f"{within}{CONFIG} is missing: saving was cut off.")
    return shards


def _check_whole(path: Path, within: str) -> None:
    try:
        check_torch(path)
    except Damaged as error:
        raise Refused(f"{within}{path.name} is damaged: {error}.") from None


def _check_description(folder: Path) -> None:
    try:
        config = json.loads((folder / "config.json").read_text())
    except OSError:
        raise Refused(f"The model's config.json is not in {folder}.") from None
    except ValueError:
        raise Refused(f"{folder}/config.json is damaged: it is no JSON.") from None
    if not isinstance(config, dict) or not config.get("architectures"):
        raise Refused(f"{folder}/config.json names no architecture.")
