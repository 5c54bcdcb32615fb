import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from jobs.verl.generation import NAME, generation_problem
from tests.jobs.verl.generation_cases import CASES
from tests.ray_cluster import PYTHON

TRY = """
import json, sys, tempfile
from transformers import GenerationConfig
def saved(values):
    with tempfile.TemporaryDirectory() as folder:
        open(folder + "/generation_config.json", "w").write(json.dumps(values))
        try:
            GenerationConfig.from_pretrained(folder).save_pretrained(folder + "/new")
        except Exception:
            return False
        return True
print("VERDICTS", json.dumps([saved(values) for values in json.load(sys.stdin)]))
"""


@pytest.mark.parametrize(("values", "is_saved"), CASES)
def test_what_would_not_be_saved_is_refused(
    tmp_path: Path, values: dict[str, Any], is_saved: bool
) -> None:
    (tmp_path / NAME).write_text(json.dumps(values))
    assert (generation_problem(tmp_path) == "") == is_saved


def test_transformers_judges_the_same() -> None:
    """Python of the training environment, in one process for all cases."""
    done = subprocess.run(
        [PYTHON, "-c", TRY],
        input=json.dumps([values for values, _ in CASES]),
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    verdicts = json.loads(done.stdout.partition("VERDICTS ")[2])
    assert verdicts == [is_saved for _, is_saved in CASES]


def test_the_reason_names_the_key_and_the_way_out(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text(json.dumps({"temperature": 0.6}))
    assert generation_problem(tmp_path) == (
        f"{tmp_path / NAME} would end the run at its first save: it sets temperature without "
        "do_sample. Set do_sample to true, or remove temperature."
    )


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000])
def test_a_file_that_cannot_be_parsed_is_not_used(tmp_path: Path, text: str) -> None:
    assert generation_problem(tmp_path) == ""
    (tmp_path / NAME).write_text(text)
    assert generation_problem(tmp_path) == ""


def test_values_of_another_type(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text(json.dumps({"max_new_tokens": "many"}))
    assert "a value has the wrong type" in generation_problem(tmp_path)
    (tmp_path / NAME).write_text("[1]")
    assert generation_problem(tmp_path).endswith("is no JSON object.")
