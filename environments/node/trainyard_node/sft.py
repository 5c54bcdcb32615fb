"""`torchrun ... -m trainyard_node.sft key=value ...`: verl's SFT trainer, with pausing.

Settings, data and checkpoints are those of `verl.trainer.sft_trainer`; a resume at the end of an
epoch continues with the next one.
"""

import trainyard_node.early  # noqa: F401 (first)

# isort: split
from verl.trainer import sft_trainer

from trainyard_node.hooks import resolved, sft

if __name__ == "__main__":
    sft.attach(sft_trainer)
    resolved.attach_to_sft(sft_trainer)
    sft_trainer.main()
