"""Files that the platform compiles, read by verl's own data set classes."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.verl

ROOT = Path(__file__).parents[2]
PLATFORM_PYTHON = os.environ.get("TRAINYARD_PLATFORM_PYTHON", str(ROOT / ".venv/bin/python"))
ROWS = 10
COMPILE = """
import json, sys
from pathlib import Path
from datasets.formats.compile import Split, compile_version
from datasets.formats.mapping import ColumnMapping
from datasets.formats.source import import_file

folder = Path(sys.argv[1])
import_file(folder / "rows.jsonl", folder / "source")
columns = {"question": "q", "answer": "a"}
for target, options in (("sft", {}), ("rl", {"data_source": "openai/gsm8k", "keep": "level"})):
    mapping = ColumnMapping(target, "question_answer", columns, options)
    compile_version(folder / "source/rows.parquet", folder / target, mapping, Split(3))
"""


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("version")
    rows = [{"q": f"What is {n} + 1?", "a": f"#### {n + 1}", "level": n} for n in range(ROWS)]
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    command = [PLATFORM_PYTHON, "-c", COMPILE, str(folder)]
    subprocess.run(command, check=True, cwd=ROOT, timeout=120)
    return folder


READ = """
import json, sys
from pathlib import Path
from omegaconf import OmegaConf
from verl.utils import hf_tokenizer
from verl.utils.dataset.multiturn_sft_dataset import MultiTurnSFTDataset
from verl.utils.dataset.rl_dataset import RLHFDataset
from verl.utils.reward_score import default_compute_score

folder, tokenizer = Path(sys.argv[1]), hf_tokenizer(sys.argv[2])
SFT = OmegaConf.create({"max_length": 512, "truncation": "error", "pad_mode": "no_padding"})
RL = OmegaConf.create({
    "cache_dir": "cache", "max_prompt_length": 512, "filter_overlong_prompts": True,
    "filter_overlong_prompts_workers": 1,
})

def sft(part):
    data = MultiTurnSFTDataset(str(folder / f"sft/{part}.parquet"), tokenizer, SFT)
    items = [data[at] for at in range(len(data))]
    return [tokenizer.decode(item["input_ids"][item["loss_mask"].bool()]) for item in items]

def rl(part):
    data = RLHFDataset(str(folder / f"rl/{part}.parquet"), tokenizer, RL)
    return [told(data[at]) for at in range(len(data))]

def told(item):
    level, truth = item["extra_info"]["level"], item["reward_model"]["ground_truth"]
    score = default_compute_score(item["data_source"], f"#### {level + 1}", truth)
    return int(level), item["raw_prompt"][0]["content"], truth, float(score)

parts = ("train", "val")
print(json.dumps({"sft": {p: sft(p) for p in parts}, "rl": {p: rl(p) for p in parts}}))
"""


@pytest.fixture(scope="module")
def by_verl(version: Path, samples: dict[str, Any]) -> dict[str, Any]:
    """What verl makes of each file, in one process: verl takes long to load. It is away from the
    checkout, whose datasets would hide another's.
    """
    model = samples["models"]["model-warm"]["path"]
    done = subprocess.run(
        [sys.executable, "-c", READ, str(version), model],
        cwd=version, capture_output=True, text=True, timeout=180, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize(("part", "rows"), [("train", 7), ("val", 3)])
def test_sft(by_verl: dict[str, Any], part: str, rows: int) -> None:
    found = by_verl["sft"][part]
    assert len(found) == rows
    assert all("####" in trained_on for trained_on in found)


@pytest.mark.parametrize(("part", "rows"), [("train", 7), ("val", 3)])
def test_rl(by_verl: dict[str, Any], part: str, rows: int) -> None:
    found = by_verl["rl"][part]
    assert len(found) == rows
    for level, prompt, truth, score in found:
        assert prompt == f"What is {level} + 1?"
        assert (truth, score) == (str(level + 1), 1.0)
