"""Launch the rollout servers where verl asks for them."""

import os
from typing import Any

import ray
from verl.utils.fs import copy_to_local
from verl.workers.rollout.replica import RolloutReplica

from trainyard_node.rollout.parameters import Limits
from trainyard_node.rollout.server import HFServer


def server_name(replica_rank: int, suffix: str = "") -> str:
    """The Ray name by which a trainer process finds its server."""
    return f"trainyard_hf_server_{replica_rank}{suffix}"


class HFReplica(RolloutReplica):
    """One server a replica. A CPU replica is one process: no tensor or pipeline parallelism."""

    async def launch_servers(self) -> None:
        """Start this replica's server actor. Raises ValueError for a sharded replica."""
        if self.world_size != 1:
            raise ValueError("the hf rollout needs tensor, data and pipeline parallel sizes of 1")
        path = copy_to_local(_setting(self.model_config, "path"))
        trust = bool(_setting(self.model_config, "trust_remote_code"))
        name = server_name(self.replica_rank, self.name_suffix)
        options = {"name": name, "max_concurrency": self.max_concurrency, "num_cpus": 0}
        server = ray.remote(HFServer).options(**options, **_thread_option())
        handle = server.remote(
            path=path,
            dtype=self.config.dtype,
            limits=self._limits(path, trust),
            batch=self.config.max_num_seqs,
            seed=self.config.seed + self.replica_rank,
            trust=trust,
            ignore_eos=bool(_setting(self.config, "ignore_eos")),
        )
        self.servers, self._server_handle, self._server_address = [handle], handle, name

    def _limits(self, path: str, trust: bool) -> Limits:
        from transformers import AutoConfig

        prompt, response = self.config.prompt_length, self.config.response_length
        config = AutoConfig.from_pretrained(path, trust_remote_code=trust)
        own = getattr(config, "max_position_embeddings", None) or prompt + response
        return Limits(prompt, response, min(own, self.config.max_model_len or own))


def _thread_option() -> dict[str, Any]:
    # Ray gives an actor of 0 CPUs one thread unless told otherwise.
    threads = os.environ.get("OMP_NUM_THREADS")
    return {"runtime_env": {"env_vars": {"OMP_NUM_THREADS": threads}}} if threads else {}


def _setting(config: Any, name: str) -> Any:
    return config.get(name) if hasattr(config, "get") else getattr(config, name, None)
