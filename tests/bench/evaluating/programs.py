"""One evaluation by each program, in a process of its own: its seconds and its memory."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[3]
NODE = ROOT / "environments/node"
LM_EVAL = Path(sys.prefix) / "lm-eval"
# What somebody would write by hand: batches in the order of their length, and transformers' own
# `generate`.
PLAIN = """
import importlib.util, json, sys
import pyarrow.parquet as parquet, torch
from transformers import AutoModelForCausalLM, AutoTokenizer

path, data, reward, new, size = sys.argv[1:6]
tokenizer = AutoTokenizer.from_pretrained(path, padding_side="left")
model = AutoModelForCausalLM.from_pretrained(path).eval()
spec = importlib.util.spec_from_file_location("reward", reward)
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
rows = parquet.read_table(data).to_pylist()
texts = [tokenizer.apply_chat_template(row["prompt"], add_generation_prompt=True, tokenize=False)
         for row in rows]
order = sorted(range(len(rows)), key=lambda at: -len(texts[at]))
scores = []
with torch.inference_mode(), open(sys.argv[6], "w") as out:
    for first in range(0, len(rows), int(size)):
        batch = order[first : first + int(size)]
        inputs = tokenizer([texts[at] for at in batch], return_tensors="pt", padding=True,
                           add_special_tokens=False, return_token_type_ids=False)
        found = model.generate(**inputs, do_sample=False, max_new_tokens=int(new))
        for at, ids in zip(batch, found[:, inputs["input_ids"].shape[1] :]):
            said = tokenizer.decode(ids, skip_special_tokens=True)
            row = rows[at]
            score = module.compute_score(row["data_source"], said,
                                         row["reward_model"]["ground_truth"], row["extra_info"])
            scores.append(score["score"])
            out.write(json.dumps({"input": texts[at], "output": said, **score}) + "\\n")
print("mean", sum(scores) / len(scores))
"""


@dataclass(frozen=True)
class Ran:
    """`busy` are the seconds of all cores together, which other programs do not lengthen much;
    `peak` is the most memory of its processes, in bytes."""

    seconds: float
    busy: float
    peak: int


def ours(text: str, out: Path) -> Ran:
    """The node's command."""
    return _ran(["-m", "trainyard_node.evaluating", "--text", text, "--out", str(out)])


def lm_eval(model: Path, task: Path, batch: int, out: Path) -> Ran:
    """lm-eval's own command, which writes its samples as ours does."""
    given = f"pretrained={model}"
    return _ran(
        ["-m", "lm_eval", "run", "--model", "hf", "--model_args", given, "--tasks", str(task),
         "--device", "cpu", "--batch_size", str(batch), "--output_path", str(out),
         "--log_samples"]
    )  # fmt: skip


def plain(*words: str) -> Ran:
    """The loop above."""
    return _ran(["-c", PLAIN, *words])


def _ran(arguments: Sequence[str]) -> Ran:
    path = os.pathsep.join([str(NODE), str(LM_EVAL)])
    env = {**os.environ, "PYTHONPATH": path, "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-P", *arguments],  # the platform has a folder named datasets
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    said = process.stderr.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(said.decode(errors="replace")[-3000:])
    busy = used.ru_utime + used.ru_stime
    return Ran(time.perf_counter() - began, busy, used.ru_maxrss * 1024)
