"""What uses a machine: told by the apps above compute, and nothing before they tell it."""

from collections.abc import Iterator

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.test import Client

from compute.machines import verbs
from compute.machines.users import Nobody, register, users
from compute.models import Machine
from compute.pages.timeline import kinds_of
from jobs import lifecycle
from jobs.models import Job, Status
from tests import factories
from tests.pages import queries


@pytest.fixture
def job(user: User) -> Job:
    return factories.make_job(user, machine=factories.make_machine(name="box"), name="first")


@pytest.fixture
def nobody() -> Iterator[None]:
    before = users()
    register(Nobody())
    yield
    register(before)


def test_no_model_of_compute_has_a_relation_back_to_an_app_above() -> None:
    models = apps.get_app_config("compute").get_models()
    back = [str(relation) for model in models for relation in model._meta.related_objects]
    assert [name for name in back if "compute." not in name] == []


def test_jobs_are_what_uses_a_machine(job: Job, user: User, staff: User) -> None:
    box = job.machine
    assert users().has_any(box)
    assert (users().running(box), users().running_or_waiting(box)) == ("", "")
    assert list(Machine.objects.annotate(runs=users().count()).values_list("name", "runs")) == [
        ("box", 1)
    ]
    lifecycle.move(job, Status.QUEUED)
    assert (users().running(box), users().running_or_waiting(box)) == ("", f"{job.pk} (first)")
    lifecycle.move(job, Status.STARTING)
    assert (users().running(box), users().running_or_waiting(box)) == (f"{job.pk} (first)",) * 2
    assert [list(users().newest(box, who)) for who in (user, staff)] == [[job], [job]]


def test_a_machine_of_nobody_shows_and_keeps_nothing(nobody: None, job: Job, page: Client) -> None:
    lifecycle.move(job, Status.QUEUED)
    lifecycle.move(job, Status.STARTING)
    lifecycle.move(job, Status.RUNNING)
    assert verbs.in_the_way(job.machine) == ""
    assert list(kinds_of(job.machine, None)) == []
    content = page.get(f"/machines/{job.machine_id}/").content.decode()
    assert "Its jobs" not in content
    assert page.get("/machines/?sort=-runs").status_code == 200
    assert page.get(f"/machines/{job.machine_id}/events/").status_code == 200


def test_the_list_takes_no_more_queries_for_more_machines(
    job: Job, user: User, page: Client
) -> None:
    one = queries(page, "/machines/")
    for name in ("b", "c"):
        factories.make_job(user, machine=factories.make_machine(name=name))
    assert queries(page, "/machines/") == one
