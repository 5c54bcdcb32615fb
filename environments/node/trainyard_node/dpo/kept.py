"""Reference log-probabilities on disk, so that a resumed run need not compute them again."""

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
    """What one pass over a data set found. `log_probs` is (rows, 2), chosen and rejected, and has
    no rows when only lengths were asked for; `cut` is the number of truncated pairs, `longest` the
    tokens of the longest pair."""

    log_probs: torch.Tensor
    cut: int
    longest: int


class Kept:
    """A scan in the first of `folders` that has it. What it is a scan of is its fingerprint: a file
    with another one is no answer."""

    def __init__(self, folders: Sequence[Path], name: str, fingerprint: Mapping[str, Any]) -> None:
        self._paths = [folder / f"{name}.pt" for folder in folders]
        self._fingerprint = dict(fingerprint)

    def read(self) -> Scan | None:
        """None where there is none, or one of other data, another model or other settings."""
        return next((scan for path in self._paths if (scan := self._read(path))), None)

    def write(self, scan: Scan) -> None:
        """Write to the first folder, in one step. Raises OSError."""
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
        except Exception:  # damaged in whatever way: it is computed again
            return None


def fingerprint(files: Sequence[str], rows: int, config: Any, tokenizer: Any) -> dict[str, Any]:
    """What reference log-probabilities depend on: the data files' bytes, how a row becomes tokens,
    and the model's files by name, size and time (hashing weights takes as long as the pass)."""
    data, model = config.data, config.model
    options = json.dumps(dict(data.apply_chat_template_kwargs or {}), sort_keys=True, default=str)
    folders = [model.get(name) for name in ("path", "tokenizer_path", "lora_adapter_path")]
    return {
        "files": [_digest(Path(file).expanduser()) for file in files],
        "rows": rows,
        "tokens": [int(data.max_length), str(data.truncation), options],
        "template": str(tokenizer.chat_template),
        "model": [_listing(str(folder)) for folder in folders if folder],
        "dtype": str(config.engine.get("dtype")),
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
    # A name on a hub is no folder here: then the name must do.
    return [[str(name), stat.st_size, stat.st_mtime_ns] for name, stat in found] or [[model]]
