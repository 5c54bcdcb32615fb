"""A rollout for verl that generates with transformers: `actor_rollout_ref.rollout.name=hf`."""

NAME = "hf"


def register() -> None:
    """Make the rollout known to verl; its modules are imported at first use."""
    from verl.workers.rollout.base import _ROLLOUT_REGISTRY
    from verl.workers.rollout.replica import RolloutReplicaRegistry

    # No function registers a worker-side adapter; the table is what verl's own backends use.
    _ROLLOUT_REGISTRY[(NAME, "async")] = "trainyard_node.rollout.adapter.HFAdapter"
    RolloutReplicaRegistry.register(NAME, _load_replica)


def _load_replica() -> type:
    from trainyard_node.rollout.replica import HFReplica

    return HFReplica
