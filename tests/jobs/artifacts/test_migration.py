"""Lists of checkpoints that jobs had as JSON become rows, and waiting for a checkpoint an input."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.state import ProjectState

from compute.models import Machine
from tests import factories

pytestmark = pytest.mark.backends
BEFORE = [("jobs", "0010_artifacts_and_inputs")]
AFTER = [("jobs", "0012_no_lists_in_jobs")]
FACTS = {
    "step": 3, "path": "checkpoints/global_step_3", "size": 7, "has_hf": True, "complete": True,
    "modified": "2026-01-01T00:00:00+00:00",
}  # fmt: skip


def at(targets: list[tuple[str, str]]) -> ProjectState:
    executor = MigrationExecutor(connection)
    executor.migrate(targets)
    return executor.loader.project_state(targets)


@pytest.mark.django_db(transaction=True)
def test_what_jobs_had_becomes_rows() -> None:
    user = factories.make_user("ada")
    far, here = factories.make_ssh_machine(), factories.make_machine()
    try:
        before, heir = make_jobs(at(BEFORE).apps, user, far, here)
        after = at(AFTER).apps
        [artifact] = after.get_model("jobs", "Artifact").objects.filter(job=before)
        assert (artifact.step, artifact.size, artifact.has_model) == (3, 7, True)
        assert artifact.places.get().path == f"/far/runs/x/attempt-1/{FACTS['path']}"
        row = after.get_model("jobs", "JobInput").objects.get(job=heir)
        assert (row.artifact_id, row.source_id, row.role) == (artifact.pk, before, "model")
        assert after.get_model("jobs", "Job").objects.get(pk=heir).listing_due
    finally:
        at([(app, name) for app, name in MigrationExecutor(connection).loader.graph.leaf_nodes()])


def make_jobs(apps: Any, user: User, far: Machine, here: Machine) -> tuple[int, int]:
    jobs = apps.get_model("jobs", "Job").objects
    folder = f"/far/runs/x/attempt-1/{FACTS['path']}"
    given = {"owner_id": user.pk, "kind": "sft", "spec": {}, "started_at": user.date_joined}
    before = jobs.create(
        **given, name="first", machine_id=far.pk,
        checkpoints=[{"attempt": 1, "folder": folder, "facts": FACTS}],
    )  # fmt: skip
    values = {"model_path": f"{folder}/huggingface"}
    heir = jobs.create(
        **given | {"spec": {"values": values}}, name="heir", machine_id=here.pk, after=before,
        after_checkpoint=True,
    )  # fmt: skip
    return before.pk, heir.pk
