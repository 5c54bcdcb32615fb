"""The Hydra keys of verl's newest release that others are below, for runs of RL."""

ACTOR = "actor_rollout_ref.actor"
MODEL = "actor_rollout_ref.model"
REF = "actor_rollout_ref.ref"
ROLLOUT = "actor_rollout_ref.rollout"
REWARD_MODEL = "reward.reward_model"
