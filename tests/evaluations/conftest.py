from pathlib import Path

import pytest
from django.contrib.auth.models import User

from datasets.models import Version
from jobs.models import Job, Status
from tests import factories
from tests.surgery.conftest import FakeLook, look
from tests.surgery.models import checkpoint

__all__ = ["FakeLook", "look"]


@pytest.fixture
def run(user: User, home: Path) -> Job:
    """A run with checkpoints of the steps 10 and 20."""
    job = factories.make_job(user, name="sums", status=Status.COMPLETED)
    for step in (10, 20):
        checkpoint(job, home / "run", step)
    return job


@pytest.fixture
def version(home: Path) -> Version:
    """Prompts with answers, whose data source verl scores."""
    file = factories.write_rl_rows(home / "rl.parquet", 8)
    made = factories.make_version(file, target="rl")
    made.dataset.name = "sums"
    made.dataset.save()
    return made


@pytest.fixture
def reward(home: Path) -> Path:
    file = home / "reward.py"
    file.write_text("def compute_score(data_source, solution_str, ground_truth, extra_info=None):\n"
                    "    return float(solution_str == ground_truth)\n")  # fmt: skip
    return file
