"""Faults of jobs that a rehearsal finds before anything trains, and the files that they need."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet
from rehearsal_plans import Job

GOOD_ROW = {
    "data_source": "trainyard/arithmetic",
    "prompt": [{"role": "user", "content": "1+1=?"}],
    "reward_model": {"style": "rule", "ground_truth": "2"},
    "extra_info": {"index": 0},
}
LONG = [{"role": "user", "content": "1" * 400}]
SYSTEM = [{"role": "tool", "content": "2"}]
REWARDS = {
    "no_python": "def compute_score(:",
    "other_name": "def score(**given): return 1.0",
    "signature": "def compute_score(answer): return 1.0",
    "raises": "def compute_score(solution_str, **more): return 1 / solution_str.count('2')",
    "text": "def compute_score(**given): return 'good'",
    "package": "import no_such_package\ndef compute_score(**given): return 1.0",
    "hangs": "import time\ndef compute_score(**given): time.sleep(60)",
    "flat": "def compute_score(**given): return 0.5",
    "exits": "import os\ndef compute_score(**given): os._exit(3)",
}


@dataclass(frozen=True)
class Planted:
    """``part`` of the rehearsal says ``words``; it fails unless it is a ``doubt`` alone."""

    job: Job
    part: str
    words: str
    doubt: bool = False


def planted(folder: Path, samples: Path) -> dict[str, Planted]:
    """Each fault by its name, with its files made below ``folder``."""
    data, models = _data(folder), _models(folder, samples)
    rewards = {name: str(_write(folder / f"{name}.py", text)) for name, text in REWARDS.items()}
    taken = folder / "a-file"
    taken.write_text("")

    def job(*overrides: str, **values: Any) -> Job:
        return Job(values, overrides)

    def scored(name: str, words: str, **more: Any) -> Planted:
        return Planted(job(reward_file=rewards[name]), "reward", words, **more)

    def on_data(name: str, words: str, **more: Any) -> Planted:
        return Planted(job(train_files=data[name], **more), "data", words)

    def on_model(name: str, part: str, words: str, **more: Any) -> Planted:
        return Planted(job(model_path=models[name], **more), part, words)

    return {
        "an unknown key": Planted(job("trainer.no_such_key=1"), "config", "no_such_key"),
        "a key to remove that is not there": Planted(job("~data.nothing"), "config", "nothing"),
        "a folder that cannot be written": Planted(
            job(f"+trainer.own_dir={taken}/below"), "folders", "a-file is no folder"
        ),
        "a tracker that is not installed": Planted(
            job(loggers="swanlab"), "packages", "lacks swanlab, for the tracker swanlab"
        ),
        "a model without a config": on_model("empty", "model", "has no config.json"),
        "a config that is cut off": on_model("torn", "model", "config.json cannot be read"),
        "an unknown architecture": on_model("unknown", "model", "no architecture nobody_knows"),
        "LoRA on layers that are not there": on_model(
            "whole", "model", "no layer qkv for LoRA", lora_rank=8, target_modules="[q_proj,qkv]"
        ),
        "a model without a tokenizer": on_model("no_tokenizer", "data", "cannot be loaded"),
        "a model without a chat template": on_model("no_template", "data", "no chat template"),
        "a template that refuses a row": on_model("strict", "data", "refuses row"),
        "data that are not there": Planted(
            job(val_files=str(folder / "none.parquet")), "data", "There is no file"
        ),
        "data that are no parquet": on_data("torn", "no parquet file"),
        "a missing column": on_data("no_prompt", "no column prompt; it has data_source"),
        "prompts that are no turns": on_data("text", "holds no turns"),
        "an overlong prompt": on_data("long", "rows over 32 tokens: the longest has"),
        "prompts that are all dropped": on_data("all_long", "none would be", filter_overlong=True),
        "fewer rows than a batch": on_data("few", "3 rows, fewer than a batch of 12"),
        "rows without a ground truth": Planted(
            job(train_files=data["no_truth"]), "reward", "no reward_model with a ground_truth"
        ),
        "a reward that is no Python": scored("no_python", "cannot be loaded"),
        "a reward of another name": scored("other_name", "There is no compute_score"),
        "a reward that takes other arguments": scored("signature", "cannot be called"),
        "a reward that raises": scored("raises", "division by zero"),
        "a reward that returns text": scored("text", "good"),
        "a reward whose import is missing": scored("package", "no_such_package"),
        "a reward that hangs": scored("hangs", "No answer within"),
        "a reward that ends its process": scored("exits", "exit code 3"),
        "a reward without a difference": scored("flat", "all 8 answers scored 0.5", doubt=True),
        "groups filtered by a part that is not returned": Planted(
            job(filter_groups=True, filter_metric="accuracy"), "reward", "parts are: acc, number"
        ),
    }  # fmt: skip


def _data(folder: Path) -> dict[str, str]:
    torn = _write(folder / "torn.parquet", "PAR1 and no more")
    without = {name: value for name, value in GOOD_ROW.items() if name != "prompt"}
    rows: Mapping[str, list[dict[str, Any]]] = {
        "no_prompt": [without] * 40,
        "text": [{**GOOD_ROW, "prompt": "1+1=?"}] * 40,
        "long": [GOOD_ROW] * 39 + [{**GOOD_ROW, "prompt": LONG}],
        "all_long": [{**GOOD_ROW, "prompt": LONG}] * 40,
        "few": [GOOD_ROW] * 3,
        "no_truth": [{**GOOD_ROW, "reward_model": {"style": "rule"}}] * 40,
    }
    found = {"torn": str(torn)}
    for name, lines in rows.items():
        found[name] = str(folder / f"{name}.parquet")
        parquet.write_table(pa.Table.from_pylist(lines), found[name])
    return found


def _models(folder: Path, samples: Path) -> dict[str, str]:
    found = {"whole": str(samples / "model")}
    for name in ("torn", "unknown", "no_tokenizer", "no_template", "strict", "empty"):
        path = folder / name
        shutil.copytree(samples / "model", path)
        found[name] = str(path)
    config = json.loads((folder / "torn/config.json").read_text())
    (folder / "torn/config.json").write_text('{"model_type": "qwen2", "hid')
    unknown = {**config, "model_type": "nobody_knows", "architectures": ["NobodyKnows"]}
    (folder / "unknown/config.json").write_text(json.dumps(unknown))
    (folder / "empty/config.json").unlink()
    (folder / "no_tokenizer/tokenizer.json").unlink()
    _set_template(folder / "no_template", None)
    _set_template(folder / "strict", "{{ raise_exception('I know no user') }}")
    return found


def _set_template(model: Path, template: str | None) -> None:
    (model / "chat_template.jinja").unlink(missing_ok=True)
    path = model / "tokenizer_config.json"
    config = json.loads(path.read_text())
    config.pop("chat_template", None)
    path.write_text(json.dumps(config))
    if template is not None:
        (model / "chat_template.jinja").write_text(template)


def _write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path
