"""Long work as each kind kept it before all of it had one base."""

from datetime import UTC, datetime, timedelta
from typing import Any

ASKED = datetime(2026, 2, 1, tzinfo=UTC)
BEAT, ENDED = ASKED + timedelta(minutes=1), ASKED + timedelta(minutes=2)


def make(apps: Any) -> None:
    user = apps.get_model("auth", "User").objects.get(username="ada")
    make_data(apps, user)
    make_set_ups(apps)
    make_fetches(apps.get_model("jobs", "Job").objects.get(name="listed"))


def make_data(apps: Any, user: Any) -> None:
    dataset = apps.get_model("datasets", "Dataset").objects.create(name="work")
    sources: list[dict[str, Any]] = [
        {"name": "ready", "state": "ready", "done": 9, "total": 9, "beat_at": BEAT},
        {"name": "cancelled", "state": "working", "cancel_asked": True, "beat_at": BEAT},
        {"name": "failed", "state": "failed", "error": "No rows.", "who": None, "ended_at": ENDED},
        {"name": "silent", "state": "waiting", "cancel_asked": True},
    ]
    for fields in sources:
        dataset.sources.create(**{"who": user, "origin": "upload"} | fields)
    version = dataset.versions.create(
        number=1, target="sft", state="ready", who=user, beat_at=BEAT, ended_at=ENDED, rows_train=4
    )
    version.reports.create(state="ready", who=user, model="tiny", data={"rows": 4})
    version.reports.create(state="cancelled", cancel_asked=True, beat_at=BEAT)
    for rows in (dataset.sources, dataset.versions, version.reports):
        rows.update(created_at=ASKED)  # which is now, when a row is made


def make_set_ups(apps: Any) -> None:
    machines, times = apps.get_model("compute", "Machine").objects, {"asked_at": ASKED}
    SetUp = apps.get_model("compute", "SetUp").objects
    SetUp.create(
        machine=machines.get(name="far"), state="done", log="Installed.", beat_at=BEAT,
        ended_at=ENDED, **times,
    )  # fmt: skip
    SetUp.create(
        machine=machines.create(name="farther", kind="ssh", workdir="/far"), state="failed",
        step="Installing verl", error="The disk is full.", beat_at=BEAT, **times,
    )  # fmt: skip


def make_fetches(job: Any) -> None:
    times = {"asked_at": ASKED, "beat_at": BEAT, "who": "ada"}
    job.fetches.create(
        step=3, state="done", bytes_done=7, bytes_total=7, source="/far/3", target="/here/3",
        ended_at=ENDED, **times,
    )  # fmt: skip
    job.fetches.create(step=6, state="working", bytes_done=2, bytes_total=8, **times)
    job.fetches.create(step=9, state="cancelled", cancel_asked_at=BEAT, error="Broken", **times)


def make_removals(apps: Any) -> None:
    """Of a later release than the rest: there was none before artifacts had rows."""
    place = apps.get_model("jobs", "Place").objects.get(
        path__endswith="attempt-1/checkpoints/global_step_3"
    )
    times = {"asked_at": ASKED, "beat_at": BEAT}
    place.removals.create(who="waiting", **times)
    place.removals.create(who="working", begun_at=BEAT, **times)
    place.removals.create(who="done", begun_at=BEAT, ended_at=ENDED, freed=20, **times)
    place.removals.create(who="found gone", begun_at=BEAT, ended_at=ENDED, freed=0, **times)
    place.removals.create(who="failed", begun_at=BEAT, ended_at=ENDED, error="No disk.", **times)
