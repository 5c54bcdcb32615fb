"""Store reference log-probabilities on disk, so that a resumed run need not recompute them."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

HASH_CHUNK = 1 << 20


@dataclass
class Scan:
    """The result of one pass over a data set.

    `log_probs` is (rows, 2), chosen and rejected; it has no rows when only lengths were measured.
    `cut` is the number of truncated pairs, `longest` the tokens of the longest pair.
    """

    log_probs: torch.Tensor
    cut: int
    longest: int


class Kept:
    """A scan, stored in the first of `folders` that has it. Its fingerprint identifies the scanned
    data and model; a file with another fingerprint is ignored."""

    def __init__(self, folders: Sequence[Path], name: str, fingerprint: Mapping[str, Any]) -> None:
        self._paths = [folder / f"{name}.pt" for folder in folders]
        self._fingerprint = dict(fingerprint)

    def read(self) -> Scan | None:
        """The stored scan; None if there is none for these data, model and settings."""
        return next((scan for path in self._paths if (scan := self._read(path))), None)

    def write(self, scan: Scan) -> None:
        """Write the scan to the first folder, in one step. Raises OSError."""
        path = self._paths[0]
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.part")
        torch.save({**vars(scan), "fingerprint": self._fingerprint}, part)
        part.replace(path)

    def _read(self, path: Path) -> Scan | None:
        try:
            content = torch.load(path, weights_only=True)
            if content.pop("fingerprint") != self._fingerprint:
                return None
            return Scan(**content)
        except Exception:  # damaged in some way, so it is recomputed
            return None


def fingerprint(files: Sequence[str], rows: int, config: Any, tokenizer: Any) -> dict[str, Any]:
    """The inputs of reference log-probabilities: the bytes of the data files, the settings that
    turn a row into tokens, and the model's files by name, size and time (hashing weights takes as
    long as the pass)."""
    data, model = config.data, config.model
    options = json.dumps(dict(data.apply_chat_template_kwargs or {}), sort_keys=True, default=str)
    folders = [model.get(name) for name in ("path", "tokenizer_path", "lora_adapter_path")]
    return {
        "files": [_digest(Path(file).expanduser()) for file in files],
        "rows": rows,
        "tokens": [int(data.max_length), str(data.truncation), options],
        "template": str(tokenizer.chat_template),
        "model": [_listing(str(folder)) for folder in folders if folder],
        "precision": str(config.engine.get("mixed_precision")),
    }


def _digest(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as content:
        while chunk := content.read(HASH_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _listing(model: str) -> list[list[Any]]:
    folder = Path(model).expanduser()
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    found = [(path.relative_to(folder), path.stat()) for path in files]
    # A hub name is no local folder; then its name identifies the model.
    return [[str(name), stat.st_size, stat.st_mtime_ns] for name, stat in found] or [[model]]
