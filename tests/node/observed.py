"""Loaded by verl into each process of a test's run (VERL_USE_EXTERNAL_MODULES): writes down each
row that a training data set gives out, and makes the request that the test wants, during the step
that the test names.

OBSERVED_ROWS names the file for the rows. OBSERVED_ASKS is JSON: {"pause": 20} asks for a pause
during the 20th step that this process does; the trainer looks once a step, at its end.
verl's V1 trainer waits two seconds for each batch of answers; here it looks again sooner.
"""

import json
import os
from pathlib import Path
from typing import Any

from trainyard_node.control import Control
from trainyard_node.imports import when_imported

ASKS: dict[str, int] = json.loads(os.environ.get("OBSERVED_ASKS", "{}"))
DATA_SETS = {
    "verl.utils.dataset.multiturn_sft_dataset": "MultiTurnSFTDataset",
    "verl.utils.dataset.rl_dataset": "RLHFDataset",
    "trainyard_node.dpo.data": "PairDataset",
}


def watch_looks() -> None:
    original = Control.look
    looks = 0

    def look(self: Control) -> Any:
        nonlocal looks
        looks += 1
        for name, step in ASKS.items():
            if step == looks:
                folder = Path(os.environ["TRAINYARD_RUN_DIR"], "control")
                folder.mkdir(exist_ok=True)
                (folder / name).touch()
        return original(self)

    Control.look = look  # type: ignore[method-assign]


def watch_rows(module: Any) -> None:
    data_set = getattr(module, DATA_SETS[module.__name__])
    original = data_set.__getitem__

    def getitem(self: Any, item: Any) -> Any:
        rank = os.environ.get("RANK", "0")
        with Path(f"{os.environ['OBSERVED_ROWS']}-{rank}").open("a") as file:
            file.write(f"{item[0] if isinstance(item, tuple) else item}\n")
        return original(self, item)

    data_set.__getitem__ = getitem


def hurry(module: Any) -> None:
    original = module.ReplayBuffer.__init__

    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **{"poll_interval": 0.05, **kwargs})

    module.ReplayBuffer.__init__ = init


watch_looks()
when_imported("verl.trainer.ppo.v1.replay_buffer", hurry)
for module_name in DATA_SETS:
    when_imported(module_name, watch_rows)
