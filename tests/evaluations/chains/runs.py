"""Chains for tests, whose jobs end as a test says: none of them runs."""

import json
from collections.abc import Mapping
from pathlib import Path

from django.contrib.auth.models import User

from evaluations.chains import advancing, services
from evaluations.chains.models import Chain, Part
from evaluations.chains.story import story_of
from jobs import lifecycle
from jobs.artifacts.keeping import keep_products
from jobs.kinds.base import MODEL
from jobs.models import Job, Status
from jobs.verl.checkpoints import NEWEST_STEP_FILE
from tests import factories
from tests.surgery.models import CONFIG

TWO = """
name: Two
steps:
- {name: sft, train: sample-sft}
- {name: grpo, train: sample-grpo, model: sft}
"""


def started(text: str, user: User) -> Chain:
    """A chain that was moved on once."""
    chain = services.start(text, user)
    return moved(chain)


def moved(chain: Chain) -> Chain:
    advancing.advance(chain.pk)
    chain.refresh_from_db()
    return chain


def part(chain: Chain, step: str, nr: int = 1) -> Part:
    return chain.parts.select_related("job").get(step=step, nr=nr)


def job_of(chain: Chain, step: str, nr: int = 1) -> Job:
    job = part(chain, step, nr).job
    assert job is not None
    return job


def ended(job: Job, status: Status = Status.COMPLETED, **metrics: float) -> Job:
    """The job with what it leaves, without having run: a model, and these last metrics."""
    lifecycle.move(job, Status.STARTING)
    if status == Status.COMPLETED and not leave_model(job):
        leave_checkpoint(job)
    for name, value in metrics.items():
        factories.add_points(job, name.replace("__", "/"), {1: value})
    lifecycle.move(job, status, reason="" if status == Status.COMPLETED else "It broke.")
    if status == Status.COMPLETED:
        keep_products(job, {})
    return job


def leave_model(job: Job) -> bool:
    """Whether the job makes a model; then it is there."""
    made = job.job_kind.makes(job.spec_of_kind)
    product = next((each for each in made if each.sort == MODEL), None)
    if product is None:
        return False
    folder = Path(job.run_dir, product.path.replace("global_step_N", "global_step_8"))
    folder.mkdir(parents=True, exist_ok=True)
    folder.joinpath("config.json").write_text(json.dumps(CONFIG))
    folder.joinpath("model.safetensors").write_bytes(b"weights")
    return True


def leave_checkpoint(job: Job, step: int = 16) -> None:
    below = f"checkpoints/global_step_{step}/actor"
    factories.write_run_file(job, f"{below}/model_world_size_1_rank_0.pt", "shard")
    factories.write_run_file(job, f"{below}/huggingface/config.json", json.dumps(CONFIG))
    factories.write_run_file(job, f"checkpoints/{NEWEST_STEP_FILE}", str(step))


def states(chain: Chain) -> Mapping[str, str]:
    return {now.step.name: now.state for now in story_of(chain)}
