"""Prompts that are too long are counted: left out where that was asked for, refused otherwise."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import read_lines
from trainyard_node.hooks import prompts
from trainyard_node.hooks.prompts import PromptsTooLong


class RLHFDataset:
    data_files = ("/data/train.parquet",)
    num_workers = 1

    def __init__(self, filters: bool, longest: int) -> None:
        self.filter_overlong_prompts, self.max_prompt_length = filters, longest

    def maybe_filter_out_long_prompts(self, dataframe: Any = None) -> Any:
        if self.filter_overlong_prompts and self.num_workers:
            return [row for row in dataframe if row <= self.max_prompt_length]
        return dataframe


@pytest.fixture
def dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("TRAINYARD_RUN_DIR", str(tmp_path))
    copied = dict(vars(RLHFDataset))
    made: Any = type("RLHFDataset", (), copied)
    module: Any = SimpleNamespace(RLHFDataset=made)
    assert prompts.attach(module)
    assert prompts.attach(module)  # a second time changes nothing
    return made


def test_prompts_that_fit_are_left_as_they_are(dataset: Any, tmp_path: Path) -> None:
    for filters in (False, True):
        made = dataset(filters, 5)
        assert made.maybe_filter_out_long_prompts([1, 5]) == [1, 5]
        assert made.filter_overlong_prompts is filters
    assert not (tmp_path / "events.jsonl").exists()


def test_without_the_filter_a_long_prompt_is_refused_with_the_count(dataset: Any) -> None:
    made = dataset(False, 2)
    with pytest.raises(PromptsTooLong, match=r"2 of 3 prompts of train.parquet have more than 2"):
        made.maybe_filter_out_long_prompts([13, 13, 1])
    assert made.filter_overlong_prompts is False


def test_with_the_filter_the_count_is_told(dataset: Any, tmp_path: Path) -> None:
    assert dataset(True, 2).maybe_filter_out_long_prompts([13, 2, 1]) == [2, 1]
    [event] = read_lines(tmp_path / "events.jsonl")
    assert (event["kind"], event["left_out"], event["rows"]) == ("prompts_left_out", 1, 3)
    assert event["message"].startswith("1 of 3 prompts of train.parquet have more than 2 tokens")


def test_nothing_to_train_on_is_refused(dataset: Any) -> None:
    with pytest.raises(PromptsTooLong, match="none is left"):
        dataset(True, 2).maybe_filter_out_long_prompts([13])


def test_the_installed_verl_is_the_one_that_is_measured(clean_environment: dict[str, str]) -> None:
    code = (
        "from trainyard_node.hooks import prompts; import verl.utils.dataset.rl_dataset as module;"
        "print(prompts.attach(module))"
    )
    # Elsewhere than here, where the package datasets is the platform's.
    argv = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(
        argv, env=clean_environment, cwd="/", capture_output=True, text=True, check=True
    )
    assert done.stdout.split()[-1] == "True", done.stderr


def test_another_verl_is_left_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert not prompts.attach(SimpleNamespace())  # type: ignore[arg-type]
