"""A run over several machines finds its model at the same path on each."""

from pathlib import Path

import pytest

from compute.runners.base import RunnerError
from compute.runners.local.runner import LocalRunner
from jobs.files.shipping import check_models
from tests.factories import grpo_spec, make_model_folder


class FakeOtherMachine(LocalRunner):
    """Has nothing of what this machine has."""

    def read(self, path: str, offset: int, limit: int) -> bytes:
        return b""


def test_a_model_that_only_the_head_has_is_refused(tmp_path: Path) -> None:
    here, there = LocalRunner("python", str(tmp_path)), FakeOtherMachine("python", str(tmp_path))
    make_model_folder(tmp_path)
    spec = grpo_spec(model_path=str(tmp_path))
    check_models(spec, here, here)
    with pytest.raises(RunnerError, match="where the first machine has one"):
        check_models(spec, here, there)


def test_a_model_that_was_sent_is_in_the_shared_folder(tmp_path: Path) -> None:
    other = FakeOtherMachine("python", str(tmp_path))
    check_models(grpo_spec(model_path=str(tmp_path)), other, other)
