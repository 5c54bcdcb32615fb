"""The DPO trainer in one process, so that a test need not start a new one for each setting:
`torchrun dpo_probe.py agree|runs IN OUT`, with VERL_PLATFORM=cpu.

agree: IN as for dpo_trl.py, with this trainer's settings as cases; OUT likewise.
runs: IN is JSON {name: overrides}; OUT gets {name: {"lines": metrics a step} or {"refused": why}}.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

import hydra
import torch
from trainyard_node.dpo.__main__ import _seed
from trainyard_node.dpo.data import PairDataset, batches
from trainyard_node.dpo.engine import Engine
from trainyard_node.dpo.losses import Objective
from trainyard_node.dpo.objective import PreferenceLoss
from trainyard_node.dpo.refused import Refused
from trainyard_node.dpo.trainer import Trainer
from verl.utils.distributed import initialize_global_process_group


def compose(overrides: list[str]) -> Any:
    with hydra.initialize_config_module("trainyard_node.dpo.config", version_base=None):
        return hydra.compose("dpo_trainer", overrides=overrides)


def agree(asked: dict[str, Any], output: Path) -> None:
    policy = started(asked, asked["policy"])
    config = compose(asked["overrides"])
    dataset = PairDataset([asked["rows"]], policy.tokenizer, config.data)
    slots = [[(row, 1.0) for row in range(len(dataset))]]
    batch = next(batches(dataset, slots))
    reference = started(asked, asked["reference"]).log_probs(batch, without_adapter=False)
    found = {}
    for name, case in asked["cases"].items():
        loss = PreferenceLoss(Objective(**case))
        data = policy.prepared(batch, reference=reference, pair_count=len(dataset))
        with policy.verl.train_mode():
            result = policy.verl.forward_backward_batch(data, loss)
            gradients = {
                key: parameter.grad.full_tensor().clone()
                for key, parameter in policy.verl.module.named_parameters()
            }
        metrics = {key: sum(values) for key, values in result["metrics"].items()}
        found[name] = {"loss": sum(result["loss"]), "metrics": metrics, "gradients": gradients}
    torch.save(found, output)


def started(asked: dict[str, Any], model: str) -> Engine:
    config = compose([*asked["overrides"], f"model.path={model}"])
    engine = Engine(config, PreferenceLoss(Objective()))
    engine.start(1)
    return engine


def runs(asked: dict[str, list[str]], output: Path) -> None:
    output.write_text(json.dumps({name: run(overrides) for name, overrides in asked.items()}))


def run(overrides: list[str]) -> dict[str, Any]:
    lines = Path("metrics.jsonl")
    os.environ["VERL_FILE_LOGGER_PATH"] = str(lines)
    config = compose(overrides)
    _seed(int(config.trainer.seed))
    try:
        Trainer(config).fit()
    except Refused as error:
        return {"refused": str(error)}
    data = [json.loads(line)["data"] for line in lines.read_text().splitlines()]
    return {"lines": [one for one in data if list(one) != ["timing_s/save_checkpoint"]]}


if __name__ == "__main__":
    initialize_global_process_group()
    {"agree": agree, "runs": runs}[sys.argv[1]](
        json.loads(Path(sys.argv[2]).read_text()), Path(sys.argv[3])
    )
