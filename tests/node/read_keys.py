"""What the platform emits for a kind of run, beside what a real run of that kind read."""

import json
import re
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PLATFORM = ROOT / ".venv/bin/python"
# Each kind's keys: those of every recipe and knob, those that nothing goes by, and the defaults.
ASK = """
import json, sys
from jobs.verl.releases import ENVIRONMENTS
from jobs.verl.schema import load
from jobs.verl.spec import LATEST, TrainSpec
from jobs.verl.unread import unread_in
from tests.composed import cases
found = {}
for case in cases():
    if case.spec.verl != LATEST:
        continue
    kind = case.spec.kind
    if kind not in found:
        keys = load(ENVIRONMENTS, kind).keys
        unread = [each.node for each in unread_in(TrainSpec(kind)) if not each.is_taken]
        found[kind] = {"emitted": {}, "unread": unread, "defaults": {
            key: str(known["default"]) for key, known in keys.items() if "${" in str(known)
        }}
    for text in case.overrides:
        found[kind]["emitted"][text.partition("=")[0].lstrip("+")] = True
json.dump(found, sys.stdout)
"""
ASK_FOR_OTHERS = """
import json, sys
from dataclasses import replace
from jobs.verl.command import build_command
from jobs.verl.recipes import all_recipes
from tests.composed import PLACEMENT, PLACES
plain = all_recipes()["sample-ppo"].spec(PLACES)
asked = replace(plain, values={**plain.values, **json.loads(sys.argv[1])})
before, after = ({s.text for s in build_command(s, PLACEMENT, {}).settings} for s in (plain, asked))
others = ("critic.", "actor_rollout_ref.ref.fsdp_config.")
kept = {text for text in after if text.lstrip("+").startswith(others)}
json.dump(sorted(kept | after - before), sys.stdout)
"""
LORA, KL_LOSS = "with an adapter", "with a KL in the loss, as the other runs of RL have none"
KL_REWARD, SERVED = "with a KL in the reward", "by vllm and sglang, not by the rollout on the CPU"
REWARD_MODEL = "with a reward model, which needs a GPU"
OVERLONG = [
    "reward.reward_kwargs.max_resp_len",
    "reward.reward_kwargs.overlong_buffer_cfg.enable",
    "reward.reward_kwargs.overlong_buffer_cfg.len",
    "reward.reward_kwargs.overlong_buffer_cfg.log",
    "reward.reward_kwargs.overlong_buffer_cfg.penalty_factor",
]
# Emitted and not read by the run that a kind is recorded in: when they are read, or by whom.
RL_ONLY = {
    **dict.fromkeys(OVERLONG, "by the manager dapo"),
    "actor_rollout_ref.model.lora_alpha": LORA,
    "actor_rollout_ref.rollout.enforce_eager": SERVED,
    "actor_rollout_ref.rollout.gpu_memory_utilization": SERVED,
    "actor_rollout_ref.rollout.max_num_batched_tokens": SERVED,
    "algorithm.kl_ctrl.kl_coef": KL_REWARD,
    "algorithm.kl_ctrl.target_kl": KL_REWARD,
    "algorithm.kl_ctrl.type": KL_REWARD,
    "algorithm.kl_penalty": KL_REWARD,
    "reward.reward_model.model_path": REWARD_MODEL,
    "reward.reward_model.rollout.gpu_memory_utilization": REWARD_MODEL,
    "reward.reward_model.rollout.name": REWARD_MODEL,
    "reward.reward_model.rollout.tensor_model_parallel_size": REWARD_MODEL,
    "transfer_queue.backend.SimpleStorage.num_data_storage_units": "by TransferQueue, as a whole",
}
WITHOUT_REFERENCE = {
    "actor_rollout_ref.actor.kl_loss_coef": KL_LOSS,
    "actor_rollout_ref.actor.kl_loss_type": KL_LOSS,
    "actor_rollout_ref.ref.fsdp_config.mixed_precision.param_dtype": KL_LOSS,
    "actor_rollout_ref.ref.log_prob_micro_batch_size_per_gpu": KL_LOSS,
    "actor_rollout_ref.ref.strategy": KL_LOSS,
}
FILTERS = {"algorithm.filter_groups.metric": "where groups are dropped"}
CLIPS = {
    "actor_rollout_ref.actor.clip_ratio": "its loss reads the lower and the upper one",
    "actor_rollout_ref.actor.clip_ratio_c": "the form warns that GSPO does not go by it",
}
VALIDATES = "where it validates"
NOT_VALIDATED = {
    "actor_rollout_ref.rollout.val_kwargs.n": VALIDATES,
    "actor_rollout_ref.rollout.val_kwargs.temperature": VALIDATES,
    "actor_rollout_ref.rollout.val_kwargs.top_p": VALIDATES,
    "trainer.validation_data_dir": VALIDATES,
}
NOT_SAVED = {"trainer.max_actor_ckpt_to_keep": "where it saves"}
WARM_UP = "where no number of steps is given"
RANKS = "torchrun is given the number"
EXPECTED: dict[str, dict[str, str]] = {
    "sft": {
        "model.lora_alpha": LORA,
        "trainer.n_gpus_per_node": RANKS,
    },
    "dpo": {
        "model.lora_alpha": LORA,
        "optim.lr_warmup_steps_ratio": WARM_UP,
        "trainer.n_gpus_per_node": RANKS,
        "trainer.total_epochs": "where no number of steps is given",
    },
    "ppo": RL_ONLY
    | NOT_VALIDATED
    | {"actor_rollout_ref.actor.optim.lr_warmup_steps_ratio": WARM_UP},
    "grpo": RL_ONLY | WITHOUT_REFERENCE | FILTERS,
    "gspo": RL_ONLY | WITHOUT_REFERENCE | FILTERS | NOT_VALIDATED | NOT_SAVED | CLIPS,
}


@cache
def asked() -> dict[str, Any]:
    """The platform's own Python knows what the platform emits."""
    command = [str(PLATFORM), "-c", ASK]
    found: dict[str, Any] = json.loads(subprocess.check_output(command, cwd=ROOT, timeout=300))
    return found


def others_of_ppo(**values: Any) -> list[str]:
    """What the platform emits for the critic and the reference of its sample, and for these values
    of its form."""
    command = [str(PLATFORM), "-c", ASK_FOR_OTHERS, json.dumps(values)]
    found: list[str] = json.loads(subprocess.check_output(command, cwd=ROOT, timeout=300))
    return found


def check(kind: str, root: Path) -> None:
    """What is emitted was read, but for what the list names; what counts as unread was not."""
    platform, read = asked()[kind], read_in(root)
    assert len(read) > 50, "the recorder was at work"
    sources = sources_of(platform["defaults"])
    unread = {key for key in platform["emitted"] if not is_read(key, read, sources)}
    unread = {key for key in unread if not key.startswith("hydra.")}
    nodes = tuple(f"{node}." for node in platform["unread"])
    faults = {
        "emitted and never read": sorted(unread - set(EXPECTED[kind])),
        "read, though the list names it": sorted(set(EXPECTED[kind]) - unread),
        "read, though it counts as unread": [k for k in read if f"{k}.".startswith(nodes)],
    }
    assert not any(faults.values()), faults


def read_in(root: Path) -> set[str]:
    """With a dot at its end, a part of the configuration that was asked for as a whole."""
    files = [path for path in root.glob("reads-*") if path.name.removeprefix("reads-").isdecimal()]
    return {key for path in files for key in path.read_text().split()}


def work_of(root: Path, role: str, fact: str) -> list[Any]:
    """What `at_work` wrote of one model, in the order in which it was done."""
    lines = [line for path in root.glob("reads-work-*") for line in path.read_text().splitlines()]
    facts = [json.loads(line) for line in lines]
    return [each[fact] for each in facts if each["role"] == role and fact in each]


def sources_of(defaults: dict[str, str]) -> dict[str, set[str]]:
    """For each key, those whose default is taken from it."""
    sources: dict[str, set[str]] = {}
    for key, default in defaults.items():
        for name in re.findall(r"\$\{(?:oc\.select:)?(\.*[\w.]+)", default):
            ups = len(name) - len(name.lstrip("."))
            above = key.split(".")[:-ups] if ups else []
            sources.setdefault(".".join([*above, name.lstrip(".")]), set()).add(key)
    return sources


def is_read(key: str, read: set[str], sources: dict[str, set[str]]) -> bool:
    parts = key.split(".")
    above = [".".join(parts[:count]) for count in range(1, len(parts))]
    if read & {key, f"{key}.", *above}:
        return True
    if any(f"{node}." in read for node in above if node.endswith(TAKEN_WHOLE)):
        return True
    return any(is_read(other, read, sources) for other in sources.get(key, ()))


# Dictionaries that verl hands on as they are.
TAKEN_WHOLE = (
    "ray_kwargs.ray_init",
    "reward.reward_kwargs",
    "override_config",
    "sampler_kwargs",
    "mixed_precision",
)
