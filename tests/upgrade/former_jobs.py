"""Jobs as they were kept when the lists of their checkpoints were JSON."""

from datetime import UTC, datetime
from typing import Any

AT = datetime(2026, 1, 1, tzinfo=UTC)
FAR, HERE = "/far/runs/x", "/home/runs/y"


def make(apps: Any) -> None:
    user = apps.get_model("auth", "User").objects.create(username="ada")
    machines = apps.get_model("compute", "Machine").objects
    far = machines.create(name="far", kind="ssh", workdir="/far")
    here = machines.create(name="here", kind="local", workdir="/home")
    jobs = Jobs(apps, owner=user, machine=here)
    make_jobs(Jobs(apps, owner=user, machine=far), jobs)
    make_readers_of_data(apps, Jobs(apps, owner=user, machine=far))
    apps.get_model("jobs", "SavedRecipe").objects.create(
        slug="mine",
        title="Mine",
        kind="grpo",
        spec={"values": {"lr": 0.5}},
        owner=user,
        job=jobs.make("kept as a recipe", kind="grpo", recipe="grpo-math", status="completed"),
    )


class Jobs:
    """Makes jobs of one owner on one machine."""

    def __init__(self, apps: Any, **given: Any) -> None:
        self.rows, self.given = apps.get_model("jobs", "Job").objects, given

    def make(self, name: str, **fields: Any) -> Any:
        return self.rows.create(**{"name": name, "kind": "sft", "spec": {}} | self.given | fields)


def make_jobs(far: Jobs, here: Jobs) -> None:
    listed = [told(1, 3, size=7), told(2, 6, complete=False, has_hf=False)]
    first = far.make("listed", kind="grpo", started_at=AT, checkpoints=listed)
    unlisted = here.make("not listed", started_at=AT)
    here.make("not started")
    read_first = {"values": {"model_path": f"{folder(1, 3)}/huggingface"}}
    here.make("has read", after=first, after_checkpoint=True, spec=read_first)
    read_other = {"values": {"model_path": f"{HERE}/attempt-2/checkpoints/global_step_9/hf"}}
    here.make("has read what nobody listed", after=unlisted, after_checkpoint=True, spec=read_other)
    own = {"values": {"model_path": "/models/tiny"}}
    far.make("waits", after=first, after_checkpoint=True, spec=own)
    far.make("waits for nobody", after=None, after_checkpoint=True)
    far.make("only comes after", after=first, spec=read_first)


def folder(attempt: int, step: int) -> str:
    return f"{FAR}/attempt-{attempt}/checkpoints/global_step_{step}"


def told(attempt: int, step: int, **facts: Any) -> dict[str, Any]:
    """A checkpoint as the list of a far run had it."""
    usual = {
        "step": step, "path": f"checkpoints/global_step_{step}", "size": 5, "has_hf": True,
        "complete": True, "modified": "2026-01-02T03:04:05+00:00",
    }  # fmt: skip
    return {"attempt": attempt, "folder": folder(attempt, step), "facts": usual | facts}


def make_readers_of_data(apps: Any, jobs: Jobs) -> None:
    dataset = apps.get_model("datasets", "Dataset").objects.create(name="sums")
    version = dataset.versions.create(number=2, target="sft", state="ready", sha256="ab" * 32)
    for name in ("reads data", "reads it too"):
        jobs.make(name, dataset_version=version)
