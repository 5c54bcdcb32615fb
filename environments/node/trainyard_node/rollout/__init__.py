"""A rollout for verl that uses transformers: `actor_rollout_ref.rollout.name=hf`."""

from types import ModuleType

from trainyard_node.imports import when_imported

NAME = "hf"


def register() -> None:
    """Register the rollout with verl once verl's rollouts are imported; its own modules are
    imported at first use."""
    when_imported("verl.workers.rollout.base", _register_adapter)
    when_imported("verl.workers.rollout.replica", _register_replica)


def _register_adapter(module: ModuleType) -> None:
    # No function registers a worker-side adapter; verl's own backends use this table.
    module._ROLLOUT_REGISTRY[(NAME, "async")] = "trainyard_node.rollout.adapter.HFAdapter"


def _register_replica(module: ModuleType) -> None:
    module.RolloutReplicaRegistry.register(NAME, _load_replica)


def _load_replica() -> type:
    from trainyard_node.rollout.replica import HFReplica

    return HFReplica
