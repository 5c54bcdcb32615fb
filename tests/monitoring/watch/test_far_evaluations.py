"""A real evaluation on a machine behind SSH and on a Ray cluster: its scores, and its answers."""

import re
import threading
import uuid as uuids
from pathlib import Path

import pytest
from django.test import Client

from compute.machines.runners import copy_here
from compute.models import Machine
from evaluations.models import Evaluation
from jobs import listeners
from jobs.launch import start
from jobs.models import Job, Status
from jobs.places import mirror_folder
from monitoring.answers.prompts import SIZE
from monitoring.watch.watching_machine import MachineWatcher
from tests import factories
from tests.samples import make_models
from tests.waiting import eventually

pytestmark = pytest.mark.usefixtures("queue")
WITHIN = 120  # seconds, on a machine under load
PROMPTS = SIZE + 5
# Random weights answer nothing right: the score says how long the answer is.
REWARD = """
def compute_score(data_source, solution_str, ground_truth, extra_info=None):
    return {"score": float(len(solution_str)), "truth": float(ground_truth)}
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny"
    make_models([folder])
    return folder


def test_answers_are_scored_behind_ssh(
    page: Client, behind_ssh: Machine, model: Path, home: Path
) -> None:
    check_an_evaluation(page, behind_ssh, model, home)


def test_answers_are_scored_on_a_ray_cluster(
    page: Client, on_ray: Machine, model: Path, home: Path
) -> None:
    check_an_evaluation(page, on_ray, model, home)


def check_an_evaluation(page: Client, machine: Machine, model: Path, home: Path) -> None:
    """From the form to the page of its answers."""
    job = ordered(page, machine, model, home)
    start.launch(job)

    def is_over() -> bool:
        MachineWatcher(machine).turn(threading.Event())
        job.refresh_from_db()
        return job.is_over

    eventually(is_over, WITHIN, "the end of the evaluation")
    assert job.status == Status.COMPLETED, job.reason
    listeners.completed(job)  # as a worker does it
    found = Evaluation.objects.get(job=job)
    assert (found.fault, found.prompts, found.counts["failed_scores"]) == ("", PROMPTS, 0)
    assert found.metrics["eval/truth/mean"] == (PROMPTS - 1) / 2
    rows = found.rows
    assert rows is not None
    assert len(rows) == PROMPTS
    lines = [line for file in validation(job) for line in file.read_text().splitlines()]
    assert len(lines) == PROMPTS
    check_pages(page, job)


def ordered(page: Client, machine: Machine, model: Path, home: Path) -> Job:
    reward = home / "reward.py"
    reward.write_text(REWARD)
    version = factories.make_version(sums(home / "sums.parquet"), target="rl")
    given = {
        "uuid": uuids.uuid4(), "way": "answers", "action": "start", "dataset": version.pk,
        "part": "val", "more_models": str(model), "machine": machine.pk,
        "reward_file": str(reward), "max_new_tokens": 4,
    }  # fmt: skip
    response = page.post("/evaluations/new/", given)
    assert response.status_code == 302, response.context["form"].errors
    job = start.claim_next(machine.pk)
    assert job is not None
    return job


def sums(path: Path) -> Path:
    numbers = range(PROMPTS)
    return factories.write_table(path, {
        "data_source": ["sums"] * PROMPTS,
        "prompt": [[{"role": "user", "content": f"{nr}+0=?"}] for nr in numbers],
        "reward_model": [{"style": "rule", "ground_truth": str(nr)} for nr in numbers],
    })  # fmt: skip


def validation(job: Job) -> list[Path]:
    """The copies that lie here."""
    kept = copy_here(job.machine, job.run_dir) or mirror_folder(job.uuid) / "attempt-1"
    return [*kept.glob("validation/*.jsonl")]


def check_pages(page: Client, job: Job) -> None:
    """All prompts are found, a page after another."""
    seen = set[int]()
    for number in (1, 2):
        text = page.get(f"/jobs/{job.pk}/answers/?kind=validation&page={number}").content.decode()
        found = {int(each) for each in re.findall(r"(\d+)\+0=\?", text)}
        assert 0 < len(found) <= SIZE
        seen |= found
    assert seen == set(range(PROMPTS))
