import io
import json
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from pytest_django import Settings

from datasets.models import Version
from jobs.models import Job
from platform_site.running import samples as sample_files
from tests import factories

pytestmark = pytest.mark.usefixtures("queue")

MAKER = """#!/bin/sh
# A fake maker of samples: notes that it was asked.
echo "$@" >> {calls}
"""


@pytest.fixture
def calls(tmp_path: Path, settings: Settings, samples: Path) -> Path:
    """Where the fake maker notes its calls; the files themselves are there already."""
    python, calls = tmp_path / "fake_sample_python", tmp_path / "calls"
    python.write_text(MAKER.format(calls=calls))
    python.chmod(0o755)
    settings.TRAINYARD_TRAIN_PYTHON = python
    return calls


def test_made_once_and_registered_as_samples(calls: Path, samples: Path) -> None:
    for _ in range(2):
        out = io.StringIO()
        call_command("seed_demo", "--json", stdout=out)
        assert json.loads(out.getvalue()) == {"samples": str(samples)}
    assert calls.read_text() == f"-m trainyard_node.samples {samples}\n"
    made = Version.objects.order_by("target")
    rows = made.values_list("target", "rows_train", "rows_val", "dataset__is_sample")
    assert list(rows) == [(target, 2048, 64, True) for target in ("dpo", "rl", "sft")]


def test_made_again_when_files_are_gone(calls: Path, samples: Path) -> None:
    call_command("seed_demo", stdout=io.StringIO())
    (samples / "model-warm/config.json").unlink()
    call_command("seed_demo", stdout=io.StringIO())
    assert len(calls.read_text().splitlines()) == 2
    assert Version.objects.count() == 3


def test_no_training_environment(settings: Settings, db: None) -> None:
    settings.TRAINYARD_TRAIN_PYTHON = Path("/nowhere/python")
    with pytest.raises(CommandError, match="There is no training environment at /nowhere/python"):
        call_command("seed_demo")


def test_a_maker_that_fails_is_quoted(db: None) -> None:
    with pytest.raises(CommandError, match="The samples could not be made: the fake makes no"):
        call_command("seed_demo")


def test_the_sample_runs_are_submitted_once(samples: Path, staff: User) -> None:
    for _ in range(2):
        first, second = sample_files.submit_sample_runs(staff)
    assert Job.objects.count() == 2
    assert (first.recipe, second.recipe) == ("sample-sft", "sample-grpo")
    assert second.after == first
    assert {first.is_sample, second.is_sample} == {True}
    assert {first.status, second.status} == {"queued"}


def test_a_sample_that_does_not_fit_is_told(samples: Path, staff: User) -> None:
    factories.write_sft_rows(samples / "sft/train.parquet", 1)
    with pytest.raises(sample_files.SampleError, match="sample-sft: "):
        sample_files.submit_sample_runs(staff)
