"""`python -m trainyard_node.examine DIR [--deep]`: whether a run can be resumed from a checkpoint.

DIR is a `global_step_N` folder as verl writes it on FSDP. Prints JSON, {"step", "world_size",
"faults"}; a whole checkpoint has no faults. Nothing is loaded, and of the weights nothing is read
without --deep. Exit code 2 for wrong use.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

from trainyard_node.saved import Damaged, check_torch, read_json

FOLDER = re.compile(r"global_step_(\d+)")
SHARD = re.compile(r"(?:model|optim|extra_state)_world_size_(\d+)_rank_\d+\.pt")
LOADER = re.compile(r"data_(\d+)\.pt")
SEQUENCE_PARALLEL = re.compile(r"\bengine\.ulysses_sequence_parallel_size=(\d+)")
# The files that a rank saves, and the consequence if one is missing.
PARTS = {
    "model": "The model",
    "optim": "The optimizer state",
    "extra_state": "The state of the learning rate and of the random numbers",
}
LORA = "lora_train_meta.json"
CONFIG = "fsdp_config.json"


@dataclass(frozen=True)
class Verdict:
    step: int
    world_size: int
    faults: list[str]


def main(argv: Sequence[str] | None = None) -> int:
    """Examine the folder named on the command line."""
    parser = argparse.ArgumentParser(prog="python -m trainyard_node.examine", description=__doc__)
    parser.add_argument("directory", help="a global_step_N folder")
    parser.add_argument("--deep", action="store_true", help="read everything, compare checksums")
    arguments = parser.parse_args(argv)
    folder = Path(arguments.directory).expanduser().absolute()
    if not FOLDER.fullmatch(folder.name):
        parser.error(f"{folder.name} is no global_step_N")
    print(json.dumps(asdict(examine(folder, deep=arguments.deep))))
    return 0


def examine(folder: Path, *, deep: bool = False) -> Verdict:
    """Examine one `global_step_N` folder."""
    step = int(FOLDER.fullmatch(folder.name)[1])  # type: ignore[index]
    if not folder.is_dir():
        return Verdict(step, 0, [f"There is no folder {folder}."])
    checkpoint = Checkpoint(folder, deep)
    try:
        return Verdict(step, checkpoint.world_size, list(checkpoint.faults()))
    except OSError as error:
        return Verdict(step, 0, [f"{folder} cannot be read: {error.strerror}."])


class Checkpoint:
    """One checkpoint, and its siblings, which show the files that it should have."""

    def __init__(self, folder: Path, deep: bool) -> None:
        self._folder, self._deep = folder, deep
        self._models = [Shards(folder / name) for name in self._model_names]

    @property
    def world_size(self) -> int:
        """The number of ranks of its largest model; 0 when there is no model."""
        return max(shards.world_size for shards in self._models)

    def faults(self) -> Iterator[str]:
        """The faults, as sentences for a user."""
        for shards in self._models:
            yield from shards.faults(self._place(shards.folder))
        yield from self._loader_faults()
        yield from self._adapter_faults()
        yield from self._damage()

    @cached_property
    def _family(self) -> list[Path]:
        beside = (path for path in self._folder.parent.iterdir() if FOLDER.fullmatch(path.name))
        return [self._folder, *(path for path in beside if path != self._folder)]

    @cached_property
    def _is_rl(self) -> bool:
        signs = ("actor", "critic", "data.pt")
        return any((folder / sign).exists() for folder in self._family for sign in signs)

    @property
    def _model_names(self) -> list[str]:
        if not self._is_rl:
            return ["."]
        has_critic = any((folder / "critic").exists() for folder in self._family)
        return ["actor", "critic"] if has_critic else ["actor"]

    def _loader_faults(self) -> Iterator[str]:
        begins_anew = "a resumed run would begin with the first rows again"
        if self._is_rl:
            if not (self._folder / "data.pt").exists():
                yield f"The state of the data loader is missing (data.pt): {begins_anew}."
            return
        for rank in sorted(set(range(self._loaders)) - _numbers(self._folder, LOADER)):
            yield f"The state of a data loader is missing (data_{rank}.pt): {begins_anew}."

    @property
    def _loaders(self) -> int:
        """The number of data loaders, as far as it can be known: at least one."""
        found = [max(numbers) + 1 for f in self._family if (numbers := _numbers(f, LOADER))]
        overrides = self._folder.parent.parent / "hydra/.hydra/overrides.yaml"
        if overrides.is_file():
            given = SEQUENCE_PARALLEL.search(overrides.read_text(errors="replace"))
            found.append(self.world_size // max(1, int(given[1]) if given else 1))
        return max(found, default=1)

    def _adapter_faults(self) -> Iterator[str]:
        for shards in self._models:
            name = shards.folder.relative_to(self._folder) / LORA
            expected = any((folder / name).exists() for folder in self._family)
            if expected and not (self._folder / name).exists():
                yield f"The facts of the LoRA adapter are missing ({name}): saving was cut off."

    def _damage(self) -> Iterator[str]:
        # Other files in it (TransferQueue, huggingface) have formats of their own.
        folders = dict.fromkeys([self._folder, *(shards.folder for shards in self._models)])
        for path in (path for folder in folders for path in sorted(folder.glob("*"))):
            try:
                if path.suffix == ".pt":
                    check_torch(path, deep=self._deep)
                elif path.name in (CONFIG, LORA):
                    read_json(path)
            except Damaged as error:
                yield f"{self._place(path)} is damaged: {error}."

    def _place(self, path: Path) -> str:
        return str(path.relative_to(self._folder))


class Shards:
    """The files that the ranks saved for one model."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @cached_property
    def world_size(self) -> int:
        """The number of ranks; 0 when it is unknown."""
        try:
            return int(read_json(self.folder / CONFIG)["world_size"])
        except (Damaged, KeyError, TypeError, ValueError):
            return max(_numbers(self.folder, SHARD), default=0)

    def faults(self, place: str) -> Iterator[str]:
        """Missing files; `place` is the folder's name in the checkpoint."""
        within = "" if place == "." else f"{place}/"
        if not self.world_size:
            yield f"There is no model in {place if within else 'it'}: saving was cut off."
            return
        for part, meaning in PARTS.items():
            yield from self._missing(part, meaning, within)
        if not (self.folder / CONFIG).exists():
            yield f"{within}{CONFIG} is missing: saving was cut off."

    def _missing(self, part: str, meaning: str, within: str) -> Iterator[str]:
        size = self.world_size
        stem = f"{part}_world_size_{size}_rank_"
        ranks = [rank for rank in range(size) if not (self.folder / f"{stem}{rank}.pt").exists()]
        if len(ranks) == size > 1:
            yield f"{meaning} of every rank is missing ({within}{stem}*.pt)."
            return
        for rank in ranks:
            yield f"{meaning} of rank {rank} of {size} is missing ({within}{stem}{rank}.pt)."


def _numbers(folder: Path, pattern: re.Pattern[str]) -> set[int]:
    """The numbers that `pattern` finds in the file names of the folder."""
    if not folder.is_dir():
        return set()
    found = (pattern.fullmatch(path.name) for path in folder.iterdir())
    return {int(match[1]) for match in found if match}


if __name__ == "__main__":
    sys.exit(main())
