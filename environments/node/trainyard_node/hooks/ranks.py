"""Requests to a trainer of several ranks: rank 0 looks, and all ranks act on its answer."""

import torch.distributed

from trainyard_node.control import Asked, Control


class SharedControl(Control):
    """The same request on all ranks. Each rank must look once a step."""

    def look(self) -> Asked | None:
        is_first = torch.distributed.get_rank() == 0
        answer = [super().look() if is_first else None]
        torch.distributed.broadcast_object_list(answer, src=0)
        return answer[0]

    def saved(self, asked: Asked) -> None:
        if torch.distributed.get_rank() == 0:
            super().saved(asked)

    def paused(self, step: int) -> None:
        if torch.distributed.get_rank() == 0:
            super().paused(step)
