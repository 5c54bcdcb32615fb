"""Tokens and loss masks as the platform shows them, against verl's own data set classes."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import chat_cases
import pytest

pytestmark = pytest.mark.verl

ROOT = Path(__file__).parents[2]
PLATFORM_PYTHON = os.environ.get("TRAINYARD_PLATFORM_PYTHON", str(ROOT / ".venv/bin/python"))
SHOW = """
import json, sys
from pathlib import Path
import pyarrow.parquet as parquet
from datasets.formats.chat import ChatOptions
from datasets.formats.tokens import load

def rows(name):
    return parquet.read_table(folder / f"{name}.parquet").to_pylist()

def told(view):
    side = view.rejected
    return {"ids": view.ids, "mask": view.loss_mask, "refusal": view.refusal, "total": view.total,
            "cut": [len(view.cut_left), len(view.cut_right)], "rejected": side and side.ids}

def views(name, file, target, options, truncation, length):
    tokenizer = load(Path(verl["models"][name]), options)
    lengths = tokenizer.lengths(rows(file), target)
    seen = [told(tokenizer.view(row, target, length, truncation)) for row in rows(file)]
    return [{**view, "length": length} for view, length in zip(seen, lengths, strict=True)]

folder = Path(sys.argv[1])
verl = json.loads((folder / "verl.json").read_text())
found = {"sft": {}, "unmatched": {}, "rl": {}, "dpo": {}}
for key in verl["sft"]:
    name, file, pad_mode, truncation, length = key.split("|")
    options = ChatOptions(pad_mode=pad_mode)
    found["sft"][key] = views(name, file, "sft", options, truncation, int(length))
for name in verl["models"]:
    ignoring = ChatOptions(ignore_mismatch=True)
    found["unmatched"][name] = views(name, "chats", "sft", ignoring, "error", 1024)
    found["rl"][name] = views(name, "rl", "rl", ChatOptions(), "error", 40)
for key in verl["dpo"]:
    name, truncation, length = key.split("|")
    found["dpo"][key] = views(name, "dpo", "dpo", ChatOptions(), truncation, int(length))
assert "torch" not in sys.modules
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def both(
    samples: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What verl makes of every case, and what the platform does."""
    folder = tmp_path_factory.mktemp("chats")
    making = [sys.executable, chat_cases.__file__, str(folder), samples["models"]["model"]["path"]]
    # Away from the repository's root, whose `datasets` would hide Hugging Face's.
    made = subprocess.run(making, cwd=folder, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr[-4000:]
    shown = subprocess.run(
        [PLATFORM_PYTHON, "-c", SHOW, str(folder)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert shown.returncode == 0, shown.stderr[-4000:]
    return json.loads((folder / "verl.json").read_text()), json.loads(shown.stdout)


def agrees(by_verl: dict[str, Any], ours: dict[str, Any]) -> bool:
    """The same tokens and mask; or both refuse, and for the same reason."""
    if "error" in by_verl:
        return bool(ours["refusal"]) and same_reason(by_verl["error"], ours["refusal"])
    return (by_verl["ids"], by_verl["mask"]) == (ours["ids"], ours["mask"])


def same_reason(by_verl: str, ours: str) -> bool:
    for phrase in ("ignore_input_ids_mismatch", "processor", "non-empty list"):
        if phrase in by_verl:
            return phrase in ours
    if "is larger than" in by_verl:
        return by_verl == ours
    if "NAType" in by_verl or "boolean value of NA" in by_verl:
        return "is empty in this row" in ours
    return by_verl.splitlines()[0].rstrip(".") in ours


def test_sft_tokens_and_masks_are_those_of_verl(both: Any) -> None:
    by_verl, ours = both
    compared = 0
    for key, rows in by_verl["sft"].items():
        for index, row in enumerate(rows):
            view = ours["sft"][key][index]
            assert agrees(row, view), (key, index, row, view)
            compared += "error" not in row
            if not view["refusal"] and sum(view["cut"]) == 0:
                assert view["length"] == view["total"] == len(row["ids"])
    assert compared > 600


def test_a_turn_that_is_marked_so_is_not_trained_on(both: Any) -> None:
    counted = both[0]["sft"]["chatml|calls|no_padding|error|4096"][1]
    runs = "".join(map(str, counted["mask"])).strip("0").split("0")
    assert len([run for run in runs if run]) == 2  # the first and the last of three answers


def test_no_empty_field_is_rendered(both: Any) -> None:
    """With another row's tool beside it, a row has the tokens that it has alone."""
    by_verl, _ = both
    for index in (0, 1):
        row = by_verl["sft"]["tools|calls|no_padding|error|4096"][index]
        alone = by_verl["sft"][f"tools|call-{index}|no_padding|error|4096"][0]
        assert "error" not in row
        assert row == alone


def test_every_kind_of_refusal_was_met(both: Any) -> None:
    errors = {row.get("error", "") for rows in both[0]["sft"].values() for row in rows}
    wanted = [
        *("ignore_input_ids_mismatch", "is larger than", "processor", "non-empty list"),
        *("boolean value of NA", "NAType", "Roles must go"),
    ]
    assert all(any(phrase in error for error in errors) for phrase in wanted), errors


def test_mismatching_rows_are_those_of_verl_when_it_is_told_to_go_on(both: Any) -> None:
    by_verl, ours = both
    for name, rows in by_verl["unmatched"].items():
        for row, view in zip(rows, ours["unmatched"][name], strict=True):
            assert agrees(row, view), (name, row, view)
    thinking = ours["unmatched"]["thinking"][2]
    assert thinking["length"] == thinking["total"] == len(thinking["ids"])


def test_rl_prompts_are_those_of_verl(both: Any) -> None:
    by_verl, ours = both
    for name, found in by_verl["rl"].items():
        views = ours["rl"][name]
        kept = [p for p, view in zip(found["prompts"], views, strict=True) if not view["refusal"]]
        assert kept == found["left"], name
        for ids, view in zip(found["ids"], views, strict=True):
            # Without a user's turn the rollout asks some templates a second time; the length
            # filter does not, and leaves the row out.
            assert view["ids"] == ids or (view["refusal"] and not view["ids"]), (name, ids, view)


def test_dpo_pairs_are_those_of_the_trainer(both: Any) -> None:
    by_trainer, ours = both
    kept = 0
    for key, rows in by_trainer["dpo"].items():
        for pair, view in zip(rows, ours["dpo"][key], strict=True):
            assert (pair is None) == bool(view["refusal"]), (key, pair, view)
            if pair is None:
                continue
            prompt, chosen, rejected = pair
            assert view["ids"] == prompt + chosen, key
            assert view["rejected"] == prompt + rejected, key
            assert view["mask"] == [0] * len(prompt) + [1] * len(chosen), key
            kept += 1
    assert kept > 200
