"""A model that is read with other rows than the ones that are stored."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from trainyard_node.merge.stored import Stored


class View(Stored):
    """`stored`, whose entries and rows the classes below this one change. What is said of the input
    is said of the model as it is stored."""

    def __init__(self, stored: Stored) -> None:
        self._stored = stored
        self.folder, self.root = stored.folder, stored.root
        self.config = stored.config

    @property
    def bytes_read(self) -> int:  # type: ignore[override]
        return self._stored.bytes_read

    @property
    def files(self) -> list[Path]:
        return self._stored.files

    @property
    def roots(self) -> list[Path]:
        return self._stored.roots

    def watch(self) -> None:
        self._stored.watch()

    def digest(self) -> str:
        return self._stored.digest()

    def inputs(self) -> dict[str, str]:
        return self._stored.inputs()

    def picked(self, name: str, numbers: Sequence[int]) -> Tensor:
        """Some rows of a matrix, as `rows` gives them."""
        return torch.cat([self.rows(name, number, number + 1) for number in numbers])
