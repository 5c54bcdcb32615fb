"""What TRL's DPOTrainer makes of a batch: `python dpo_trl.py IN OUT`, in a process without verl,
which changes its behaviour where TRL can be imported.

IN is JSON: policy, reference (model folders), rows (parquet), cases ({name: DPOConfig settings}),
alone (the cases whose pairs are taken one by one). OUT gets, by case, the loss, the metrics and the
gradients by parameter name.
"""

import json
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel
from trl import DPOConfig, DPOTrainer  # type: ignore[import-not-found]

from datasets import Dataset  # type: ignore[attr-defined]


def main(asked: dict[str, Any], output: Path) -> None:
    found = {name: measure(asked, name) for name in asked["cases"]}
    torch.save(found, output)


def measure(asked: dict[str, Any], name: str) -> dict[str, Any]:
    policy, reference = (load(asked[which]) for which in ("policy", "reference"))
    trainer = trainer_of(asked, policy, reference, asked["cases"][name])
    rows = [trainer.train_dataset[index] for index in range(len(trainer.train_dataset))]
    batches = [[row] for row in rows] if name in asked["alone"] else [rows]
    policy.train()
    loss = torch.zeros(())
    for batch in batches:
        part = trainer._compute_loss(policy, trainer.data_collator(batch), False) / len(batches)
        part.backward()
        loss += part.detach()
    metrics = trainer._metrics["train"]
    return {
        "loss": float(loss),
        "metrics": {key: sum(values) / len(values) for key, values in metrics.items()},
        "gradients": {key: parameter.grad for key, parameter in policy.named_parameters()},
    }


def trainer_of(
    asked: dict[str, Any],
    policy: PreTrainedModel,
    reference: PreTrainedModel,
    case: dict[str, Any],
) -> DPOTrainer:
    rows = pyarrow.parquet.read_table(asked["rows"]).to_pylist()
    arguments = DPOConfig(
        output_dir="trl", report_to=[], use_cpu=True, bf16=False, gradient_checkpointing=False,
        max_length=None, **case,
    )  # fmt: skip
    return DPOTrainer(
        model=policy,
        ref_model=reference,
        args=arguments,
        train_dataset=Dataset.from_list(rows),
        processing_class=AutoTokenizer.from_pretrained(asked["policy"]),
    )


def load(folder: str) -> PreTrainedModel:
    return AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="sdpa"
    )


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2]))
