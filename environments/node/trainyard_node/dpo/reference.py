"""Log-probabilities under the reference model: computed once and stored, or at each step."""

from pathlib import Path
from typing import Any, Protocol

import torch

from trainyard_node.dpo import settings
from trainyard_node.dpo.data import Batch, PairDataset
from trainyard_node.dpo.engine import Engine
from trainyard_node.dpo.kept import Kept, Scan, fingerprint
from trainyard_node.dpo.scan import Say, Scanner
from trainyard_node.record import tell

# Beside the checkpoints, where verl removes only numbered folders.
FOLDER = "reference"


class Reference(Protocol):
    """Gives the (rows,) log-probabilities of a batch's answers, in the order of its rows."""

    def of(self, batch: Batch) -> torch.Tensor: ...


class Precomputed:
    """Takes them from the table of a whole data set."""

    def __init__(self, log_probs: torch.Tensor) -> None:
        self._log_probs = log_probs

    def of(self, batch: Batch) -> torch.Tensor:
        return self._log_probs[batch["rows"]].reshape(-1)


class LoraBase:
    """Takes them from the model with its adapter switched off."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def of(self, batch: Batch) -> torch.Tensor:
        return self._engine.log_probs(batch, without_adapter=True)


def reference_of(
    split: str, dataset: PairDataset, engine: Engine, config: Any, say: Say
) -> Reference:
    """The reference for a data set ("train" or "val"), as the setting `dpo.reference` says.

    Call it before a checkpoint is loaded: the reference is the model that the run began with.
    Raises Refused where a pair cannot be trained on.
    """
    data, is_base = config.data, config.dpo.reference == "lora_base"
    scanner = Scanner(engine, data, split, say)
    kept = None if is_base else _kept(split, dataset, engine, config)
    scan = scanner.log_probs(dataset, kept) if kept else scanner.lengths(dataset)
    _tell_cut(split, dataset, scan, data, say)
    return LoraBase(engine) if is_base else Precomputed(scan.log_probs)


def _kept(split: str, dataset: PairDataset, engine: Engine, config: Any) -> Kept:
    homes = [Path(config.trainer.default_local_dir)]
    if config.trainer.resume_from_path:
        homes.append(Path(config.trainer.resume_from_path).parent)
    files = settings.files_of(config.data[f"{split}_files"])
    facts = fingerprint(files, len(dataset), config, engine.tokenizer)
    return Kept([home / FOLDER for home in homes], split, facts)


def _tell_cut(split: str, dataset: PairDataset, scan: Scan, data: Any, say: Say) -> None:
    if not scan.cut:
        return
    what = "their prompt's start" if data.truncation == "left" else "their answers' end"
    message = (
        f"data.truncation={data.truncation}: {scan.cut} of {len(dataset)} pairs of the {split} "
        f"data are longer than data.max_length={data.max_length} and lose {what}"
    )
    say(message)
    if split == "train" and torch.distributed.get_rank() == 0:
        tell("rows_cut", f"{message}.", total=scan.cut, of=len(dataset))
