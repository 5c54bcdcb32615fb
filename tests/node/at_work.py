"""Loaded by verl into each process of a test's run: writes down what verl's FSDP engines do with
some settings, as JSON lines in READS-work-<pid>: the precision of a model, the rows of each micro
batch, the norm of the gradients after they are clipped.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

from trainyard_node.imports import when_imported

FILE = Path(f"{os.environ['READS']}-work-{os.getpid()}")
ENGINE = "verl.workers.engine.fsdp.transformer_impl"


def told(engine: Any, **facts: Any) -> None:
    is_reference = bool(engine.engine_config.forward_only)
    has_values = "Value" in type(engine).__name__
    role = "ref" if is_reference else "critic" if has_values else "actor"
    with FILE.open("a") as file:
        file.write(json.dumps({"role": role, **facts}) + "\n")


def watch(module: Any) -> None:
    initialize, step = module.FSDPEngine.initialize, module.FSDPEngine.optimizer_step
    prepare = module.prepare_micro_batches

    def initialized(self: Any) -> None:
        initialize(self)
        told(self, computes_in=str(self._autocast_dtype))

    def stepped(self: Any) -> Any:
        norm = step(self)
        grads = [each.grad for each in self.module.parameters() if each.grad is not None]
        parts = [grad.full_tensor() if hasattr(grad, "full_tensor") else grad for grad in grads]
        clipped = sum(float(part.float().pow(2).sum()) for part in parts) ** 0.5
        told(self, norm=float(norm), clipped=clipped)
        return norm

    def prepared(*args: Any, **options: Any) -> Any:
        batches, indices = prepare(*args, **options)
        told(sys._getframe(1).f_locals["self"], rows=[len(batch) for batch in batches])
        return batches, indices

    module.FSDPEngine.initialize, module.FSDPEngine.optimizer_step = initialized, stepped
    module.prepare_micro_batches = prepared


when_imported(ENGINE, watch)
