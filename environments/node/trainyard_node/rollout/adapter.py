"""The trainer's side of the rollout: it sends the actor's weights to the server."""

import os
from collections.abc import Iterable
from typing import Any

import ray
import torch
from verl.workers.rollout.base import BaseRollout
from verl.workers.rollout.utils import ensure_async_iterator

from trainyard_node.rollout.replica import server_name


class HFAdapter(BaseRollout):
    """One adapter in each trainer process; each rank owns the replica with its own number."""

    def __init__(
        self, config: Any, model_config: Any, device_mesh: Any, replica_rank: int = -1
    ) -> None:
        super().__init__(config, model_config, device_mesh)
        self.replica_rank = int(os.environ["RANK"]) if replica_rank == -1 else replica_rank

    async def resume(self, tags: list[str]) -> None:
        """Do nothing: no memory was released."""

    async def release(self) -> None:
        """Do nothing: the server's weights stay in memory."""

    async def update_weights(
        self,
        weights: Iterable[tuple[str, torch.Tensor]],
        wire_format: str = "named_tensors",
        global_steps: int | None = None,
        peft_config: Any = None,
        **ignored: Any,
    ) -> None:
        """Send full weights by name. Raises ValueError for other formats."""
        if wire_format != "named_tensors":
            raise ValueError(f"the hf rollout takes named tensors, not {wire_format}")
        if peft_config is not None:
            raise ValueError(
                "the hf rollout takes merged weights: set actor_rollout_ref.model.lora.merge=True"
            )
        named = {n: t.detach().cpu().clone() async for n, t in ensure_async_iterator(weights)}
        server = ray.get_actor(server_name(self.replica_rank))
        await server.load_weights.remote(named, global_steps)
