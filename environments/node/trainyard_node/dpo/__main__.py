"""`torchrun ... -m trainyard_node.dpo key=value ...`: train on preference pairs.

The configuration is `config/dpo_trainer.yaml` on top of verl's `sft_trainer_engine`. Settings or
data that cannot be trained on end the run before its first step, with the reason in the log.
"""

import trainyard_node.early  # noqa: F401 (first)

# isort: split
import os
import random
import sys
from typing import Any

import hydra
import numpy
import torch
from verl.utils.device import auto_set_device
from verl.utils.distributed import destroy_global_process_group, initialize_global_process_group

from trainyard_node.dpo.refused import Refused
from trainyard_node.dpo.trainer import Trainer
from trainyard_node.hooks import resolved


@hydra.main(config_path="config", config_name="dpo_trainer", version_base=None)
def main(config: Any) -> None:
    """Run one training as one rank of torchrun."""
    auto_set_device(config)
    resolved.tell_config(resolved.DPO, config)
    initialize_global_process_group()
    _seed(int(config.trainer.seed))
    try:
        Trainer(config).fit()
    except Refused as error:
        print(f"trainyard_node.dpo: {error}", file=sys.stderr, flush=True)
        # Other ranks may wait for this one for ever, so exit without the usual clean-up.
        os._exit(2)
    destroy_global_process_group()


def _seed(seed: int) -> None:
    """Seed the weights of a new adapter, and dropout."""
    random.seed(seed)
    numpy.random.seed(seed)
    torch.manual_seed(seed)


if __name__ == "__main__":
    main()
