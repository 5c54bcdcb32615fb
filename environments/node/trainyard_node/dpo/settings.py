"""Check settings before anything is loaded."""

from collections.abc import Mapping
from typing import Any

from trainyard_node.dpo.encode import TRUNCATIONS
from trainyard_node.dpo.losses import Objective
from trainyard_node.dpo.refused import Refused

STRATEGIES = ("fsdp", "fsdp2")
REFERENCES = ("precomputed", "lora_base")
# verl's SFT data settings that mean nothing for pairs, each with its neutral value.
UNUSED: Mapping[str, Any] = {
    "messages_key": "messages",
    "tools_key": "tools",
    "enable_thinking_key": "enable_thinking",
    "enable_thinking_default": "none",
    "pad_mode": "no_padding",
    "balance_dp_token": False,
    "custom_cls": {"path": None, "name": None},
    "use_shm": False,
    "ignore_input_ids_mismatch": False,
}


def objective_of(config: Any) -> Objective:
    """The checked `dpo` part of the configuration. Raises Refused."""
    dpo = config.dpo
    if dpo.reference not in REFERENCES:
        raise Refused(f"dpo.reference is {dpo.reference!r}; known: {', '.join(REFERENCES)}")
    if dpo.reference == "lora_base" and int(config.model.get("lora_rank") or 0) <= 0:
        raise Refused("dpo.reference=lora_base needs an adapter: set model.lora_rank above 0")
    try:
        return Objective(
            loss_type=str(dpo.loss_type),
            beta=float(dpo.beta),
            label_smoothing=float(dpo.label_smoothing),
            length_normalize=bool(dpo.length_normalize),
        )
    except ValueError as error:
        raise Refused(f"dpo.{error}") from None


def check_engine(engine: Any) -> None:
    """Refuse verl's other engines: they scale the losses of micro batches in other ways."""
    if engine.strategy not in STRATEGIES:
        raise Refused(f"engine.strategy is {engine.strategy!r}; DPO runs on fsdp and fsdp2")


def check_data(data: Any) -> None:
    """Check the `data` part as far as possible without the files. Raises Refused."""
    if not files_of(data.train_files):
        raise Refused("data.train_files is empty: name the parquet file with the pairs")
    if data.truncation not in TRUNCATIONS:
        raise Refused(f"data.truncation is {data.truncation!r}; known: {', '.join(TRUNCATIONS)}")
    for name, value in UNUSED.items():
        if name in data and data[name] != value:
            raise Refused(f"data.{name} has no meaning for DPO; leave it at {value!r}")


def check_batch(data: Any, ranks: int) -> None:
    """Check that the batch can be divided evenly. Raises Refused."""
    part = ranks if data.use_dynamic_bsz else ranks * data.micro_batch_size_per_gpu
    if data.train_batch_size > 0 and data.train_batch_size % part == 0:
        return
    micro = "" if data.use_dynamic_bsz else f" x micro batches of {data.micro_batch_size_per_gpu}"
    raise Refused(
        f"data.train_batch_size={data.train_batch_size} pairs cannot be shared out evenly: it must "
        f"be a multiple of {part} ({ranks} ranks{micro})"
    )


def files_of(value: Any) -> list[str]:
    """A list of files, from one file or a list; empty for null."""
    if not value:
        return []
    return [str(value)] if isinstance(value, str) else [str(file) for file in value]


def every(frequency: Any, steps_per_epoch: int) -> int:
    """`trainer.save_freq` or `test_freq` as a number of steps; 0 means never."""
    if frequency == "after_each_epoch":
        return steps_per_epoch
    return max(0, int(frequency))
