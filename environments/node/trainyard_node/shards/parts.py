"""One tensor in the pieces that the ranks saved of it."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor, Replicate, Shard

from trainyard_node.export.refused import Refused
from trainyard_node.merge.shape import as_rows, some_rows

HYBRID = ("ddp", "dp")  # a mesh's first dimension over which weights are copied


class Parts:
    """A tensor `name` out of one piece a rank. `shape` and `dtype` are those of the whole.

    Raises Refused where the pieces are not the whole tensor, or are put together in a way that
    verl does not use.
    """

    def __init__(self, name: str, pieces: Sequence[Tensor]) -> None:
        self._name = name
        first = pieces[0]
        self.shape = tuple(first.shape)
        self.dtype: torch.dtype = first.dtype
        if any(type(each) is not type(first) or each.dtype != self.dtype for each in pieces):
            raise Refused(f"{name} differs in its type between the ranks.")
        self._dim, self._pieces = self._placed(pieces)
        self._check_whole()

    def rows(self, first: int, end: int) -> Tensor:
        """Rows as (rows, width); a vector or scalar is one row."""
        if len(self.shape) < 2:
            return self.whole().reshape(1, -1)
        if self._dim != 0:
            return some_rows(self._pieces, self.shape, first, end, self._dim)
        found, place = [], 0
        for piece in map(as_rows, self._pieces):
            begin, stop = max(first - place, 0), min(end - place, len(piece))
            if begin < stop:
                found.append(piece[begin:stop])
            place += len(piece)
        return found[0] if len(found) == 1 else torch.cat(found)

    def whole(self) -> Tensor:
        return self._pieces[0] if len(self._pieces) == 1 else torch.cat(self._pieces, self._dim)

    def _placed(self, pieces: Sequence[Tensor]) -> tuple[int, list[Tensor]]:
        """The dimension that is cut, and the pieces along it in their order."""
        first = pieces[0]
        if not isinstance(first, DTensor):
            # verl saves such tensors on a single rank, or the same whole ones on each.
            if any(not torch.equal(first, each) for each in pieces[1:]):
                raise Refused(f"{self._name} is another on each rank, and says not how it is cut.")
            return 0, [first]
        placement = first.placements[-1]
        if any(each.placements != first.placements for each in pieces if isinstance(each, DTensor)):
            raise Refused(f"{self._name} is cut in another way on each rank.")
        local = [each.to_local() for each in pieces if isinstance(each, DTensor)]
        self._check_mesh(first)
        if isinstance(placement, Replicate):
            return 0, local[:1]
        if not isinstance(placement, Shard):
            raise Refused(f"{self._name} is placed as {placement}, which is not put together.")
        mesh = first.device_mesh.mesh.reshape(-1, first.device_mesh.mesh.shape[-1])
        return placement.dim, [local[rank] for rank in mesh[0].tolist()]

    def _check_mesh(self, tensor: DTensor) -> None:
        """One dimension that cuts; before it at most one that copies."""
        names: tuple[str, ...] = tensor.device_mesh.mesh_dim_names or ()
        outer = tensor.placements[:-1]
        is_copied = all(isinstance(each, Replicate) for each in outer)
        if len(outer) > 1 or not is_copied or (outer and names[:1] and names[0] not in HYBRID):
            raise Refused(f"{self._name} lies on a mesh of {names or tensor.placements}.")

    def _check_whole(self) -> None:
        found = list(self._pieces[0].shape)
        if len(self._pieces) > 1:
            found[self._dim] = sum(each.shape[self._dim] for each in self._pieces)
        if tuple(found) != self.shape:
            raise Refused(f"{self._name} is {list(self.shape)}, and its pieces are {found}.")
