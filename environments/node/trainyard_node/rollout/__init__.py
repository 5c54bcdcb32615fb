"""A rollout for verl that uses transformers: `actor_rollout_ref.rollout.name=hf`."""

NAME = "hf"


def register() -> None:
    """Register the rollout with verl; its modules are imported at first use."""
    from verl.workers.rollout.base import _ROLLOUT_REGISTRY
    from verl.workers.rollout.replica import RolloutReplicaRegistry

    # No function registers a worker-side adapter; verl's own backends use this table.
    _ROLLOUT_REGISTRY[(NAME, "async")] = "trainyard_node.rollout.adapter.HFAdapter"
    RolloutReplicaRegistry.register(NAME, _load_replica)


def _load_replica() -> type:
    from trainyard_node.rollout.replica import HFReplica

    return HFReplica
