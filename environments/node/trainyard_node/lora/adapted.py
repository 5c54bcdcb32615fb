"""A model with an adapter in it, folded in as its rows are read."""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from torch import Tensor

from trainyard_node.lora.adapter import CONFIG, WEIGHTS, Adapter
from trainyard_node.lora.merging import Matrices, matrices_of, merged_part, plan
from trainyard_node.merge.stored import Entry, Stored
from trainyard_node.merge.tied import KEY
from trainyard_node.merge.view import View

HELD = 8  # weights whose matrices are held in the working precision


class Adapted(View):
    """`base` with `adapter`, each weight rounded to the base's type: as the two are after they were
    merged as a step of their own. Raises Refused where they do not fit."""

    def __init__(self, base: Stored, adapter: Adapter) -> None:
        super().__init__(base)
        self._adapter, self._plan = adapter, plan(base, [adapter])
        if self._plan.unties:
            self.config = {**base.config, KEY: False}
        self.entries: Mapping[str, Entry] = {
            name: Entry(name, base.entries[source].shape, base.entries[source].dtype,
                        base.entries[source].file)
            for name, source in self._plan.sources.items()
        }  # fmt: skip
        self._matrices = lru_cache(HELD)(self._matrices_of)

    @property
    def files(self) -> list[Path]:
        return [*self._stored.files, *(self._adapter.folder / name for name in (CONFIG, WEIGHTS))]

    @property
    def roots(self) -> list[Path]:
        return [*self._stored.roots, self._adapter.folder]

    def inputs(self) -> dict[str, str]:
        return self._stored.inputs() | {str(self._adapter.folder): self._adapter.digest()}

    def rows(self, name: str, first: int, end: int) -> Tensor:
        """Rows of a tensor as (rows, width), in its own type; a vector is one row."""
        part = merged_part(self._plan, name, first, end, self._matrices(name))
        return part.to(self.entries[name].dtype)

    def _matrices_of(self, name: str) -> list[Matrices]:
        return matrices_of(self._plan, name)
