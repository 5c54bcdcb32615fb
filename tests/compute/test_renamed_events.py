"""Events that were kept under a former name are found under the new one after the migration."""

from importlib import import_module

import pytest
from django.apps import apps
from django.utils import timezone

from tests import factories

pytestmark = pytest.mark.django_db


def test_events_of_a_machine_are_named_by_the_word_rental() -> None:
    migration = import_module("compute.migrations.0008_rental")
    box = factories.make_ssh_machine()
    for kind in ("lease set", "lease near", "lease over", "checked"):
        box.events.create(kind=kind, at=timezone.now())
    migration.forwards(apps, None)
    assert kinds(box) == ["rental set", "rental near", "rental over", "checked"]
    migration.backwards(apps, None)
    assert kinds(box) == ["lease set", "lease near", "lease over", "checked"]


def test_events_of_a_job_are_named_by_the_word_rental() -> None:
    migration = import_module("jobs.migrations.0007_rental_and_machine_users")
    job = factories.make_job()
    job.events.create(kind="lease", at=timezone.now())
    job.events.create(kind="lease", at=timezone.now(), source="run", position=7)
    migration.forwards(apps, None)
    assert kinds(job) == ["rental", "lease"]  # what a run itself wrote stays
    migration.backwards(apps, None)
    assert kinds(job) == ["lease", "lease"]


def kinds(owner: object) -> list[str]:
    return list(owner.events.order_by("pk").values_list("kind", flat=True))  # type: ignore[attr-defined]
