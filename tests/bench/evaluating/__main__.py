"""``python -m tests.bench.evaluating``: what an evaluation costs beside lm-eval's own command and a
plain loop, on the CPU, and how much memory 100,000 answers take.

It takes the Python of the training environment with lm-eval beside it, and is run from the root of
the repository. The model is made: random weights, of which nothing is asked but the time.
"""

import argparse
import json
import shutil
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from tests.bench.evaluating.programs import NODE, Ran, lm_eval, ours, plain

REWARD = NODE / "trainyard_node/rewards/arithmetic.py"
TASKS: dict[str, dict[str, Any]] = {
    "generated": {"output_type": "generate_until", "doc_to_target": "{{answer}}",
                  "generation_kwargs": {"until": ["\n\n"], "max_gen_toks": 32}},
    "chosen": {"output_type": "multiple_choice", "doc_to_target": 0,
               "doc_to_choice": "{{[answer, other]}}"},
}  # fmt: skip
BATCH, NEW = 16, 32
MIB = 2**20


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.evaluating", description=__doc__)
    measures: dict[str, Callable[[Path, argparse.Namespace], dict[str, float]]] = {
        "tasks": tasks, "answers": answers, "memory": memory,
    }  # fmt: skip
    parser.add_argument("what", nargs="*", help=f"any of {', '.join(measures)}; default: all")
    parser.add_argument("--runs", type=int, default=5, help="of which the median counts")
    parser.add_argument("--rows", type=int, default=256)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="trainyard-bench-") as temporary:
        folder = Path(temporary)
        for name in options.what or measures:
            figures = measures[name](folder, options)
            shown = "\n".join(f"{what:50} {value:10.3f}" for what, value in figures.items())
            print(json.dumps({name: figures}) if options.json else shown, flush=True)


def tasks(folder: Path, options: argparse.Namespace) -> dict[str, float]:
    """The same task file by both commands in turns."""
    model = _model(folder, hidden=384, layers=6)
    figures: dict[str, float] = {}
    rows = [{"question": row["prompt"][0]["content"], "answer": row["extra_info"]["answer"],
             "other": "-1"} for row in _rows(options.rows)]  # fmt: skip
    _write(folder / "sums.jsonl", rows)
    for name, more in TASKS.items():
        task = folder / f"{name}.yaml"
        data = {"data_files": {"test": str(folder / "sums.jsonl")}}
        task.write_text(json.dumps(
            {"task": name, "dataset_path": "json", "dataset_kwargs": data, "test_split": "test",
             "doc_to_text": "{{question}}", **more}
        ))  # fmt: skip
        text = json.dumps({"model": str(model), "way": "tasks", "task_files": [str(task)],
                           "batch_size": BATCH})  # fmt: skip
        figures |= _in_turns(
            name, options.runs, folder / "out",
            {"ours": partial(ours, text),
             "lm-eval": partial(lm_eval, model, task, BATCH)},
        )  # fmt: skip
    return figures


def answers(folder: Path, options: argparse.Namespace) -> dict[str, float]:
    """The same prompts by the node's command and by a plain loop in turns."""
    model, data = _model(folder, hidden=384, layers=6), folder / "rows.parquet"
    _write(data, _rows(options.rows))
    text = json.dumps({"model": str(model), "files": [str(data)], "reward_file": str(REWARD),
                       "batch_size": BATCH, "max_new_tokens": NEW})  # fmt: skip
    words = (str(model), str(data), str(REWARD), str(NEW), str(BATCH))
    return _in_turns(
        "answers", options.runs, folder / "out",
        {"ours": partial(ours, text), "plain": lambda out: plain(*words, str(out))},
    )  # fmt: skip


def memory(folder: Path, options: argparse.Namespace) -> dict[str, float]:
    """The most memory of few answers and of many, with a model that takes none."""
    model = _model(folder, hidden=32, layers=1)
    figures: dict[str, float] = {}
    for count in (1_000, 100_000):
        data = folder / f"rows-{count}.parquet"
        _write(data, _rows(count // 4))
        text = json.dumps({
            "model": str(model), "files": [str(data)], "reward_file": str(REWARD), "samples": 4,
            "temperature": 1.0, "batch_size": 256, "max_new_tokens": 2,
        })  # fmt: skip
        ran = ours(text, folder / f"out-{count}")
        figures[f"{count} answers, peak [MiB]"] = ran.peak / MIB
        figures[f"{count} answers [s]"] = ran.seconds
    return figures


def _in_turns(
    name: str, runs: int, out: Path, programs: dict[str, Callable[[Path], Ran]]
) -> dict[str, float]:
    found: dict[str, list[Ran]] = {each: [] for each in programs}
    for _ in range(runs):
        for each, program in programs.items():
            found[each].append(program(out))
            shutil.rmtree(out) if out.is_dir() else out.unlink(missing_ok=True)
    figures = {}
    for each, ran in found.items():
        figures[f"{name}, {each} [s]"] = median(one.seconds for one in ran)
        figures[f"{name}, {each}, of all cores [s]"] = median(one.busy for one in ran)
    one, other = programs
    for behind in (" [s]", ", of all cores [s]"):
        mine, theirs = figures[f"{name}, {one}{behind}"], figures[f"{name}, {other}{behind}"]
        figures[f"{name}, {one} / {other}{behind.removesuffix(' [s]')}"] = mine / theirs
    return figures


def _model(folder: Path, hidden: int, layers: int) -> Path:
    import torch
    from trainyard_node.samples.model import build_tokenizer
    from transformers import Qwen2Config, Qwen2ForCausalLM

    path = folder / f"model-{hidden}"
    if not path.exists():
        torch.manual_seed(1)
        tokenizer = build_tokenizer(["0 1 2 3 4 5 6 7 8 9 + - = ?"])
        config = Qwen2Config(
            vocab_size=len(tokenizer), hidden_size=hidden, intermediate_size=4 * hidden,
            num_hidden_layers=layers, num_attention_heads=4, num_key_value_heads=2,
            max_position_embeddings=512, bos_token_id=None, eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id, initializer_range=0.2,
        )  # fmt: skip
        Qwen2ForCausalLM(config).save_pretrained(path)
        tokenizer.save_pretrained(path)
    return path


def _rows(count: int) -> list[dict[str, Any]]:
    return [
        {
            "data_source": "sums", "prompt": [{"role": "user", "content": f"{n}+{n % 7}=?" }],
            "reward_model": {"style": "rule", "ground_truth": str(n + n % 7)},
            "extra_info": {"index": n, "answer": str(n + n % 7)},
        }
        for n in range(count)
    ]  # fmt: skip


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return
    import pyarrow as pa
    from pyarrow import parquet

    parquet.write_table(pa.Table.from_pylist(rows), path)


if __name__ == "__main__":
    main()
