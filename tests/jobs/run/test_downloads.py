import pytest
from django.contrib.auth.models import User
from django.test import Client

from jobs.launch import command
from jobs.models import Job
from tests import factories
from tests.pages import asks_for_login, refuses_other_methods

FILES = ["run.sh", "overrides.txt"]


@pytest.fixture
def job(user: User) -> Job:
    return factories.make_job(user, name="x'; touch pwned #")


def test_the_script(page: Client, job: Job) -> None:
    response = page.get(f"/jobs/{job.pk}/run.sh")
    assert response.content.decode() == command.script_of(job)
    assert response.content.startswith(b"#!/usr/bin/env bash\n")
    assert response.headers["Content-Disposition"] == f'attachment; filename="run-{job.pk}.sh"'
    assert response.headers["Content-Type"] == "text/plain; charset=utf-8"


def test_the_overrides(page: Client, job: Job) -> None:
    lines = page.get(f"/jobs/{job.pk}/overrides.txt").content.decode().splitlines()
    assert "optim.lr=0.001" in lines
    assert "trainer.logger=[console,file]" in lines


@pytest.mark.parametrize("file", FILES)
def test_someone_elses(page: Client, other: User, file: str) -> None:
    assert page.get(f"/jobs/{factories.make_job(other).pk}/{file}").status_code == 404


@pytest.mark.parametrize("file", FILES)
def test_anonymous(job: Job, file: str) -> None:
    assert asks_for_login(f"/jobs/{job.pk}/{file}")


@pytest.mark.parametrize("file", FILES)
def test_wrong_method(page: Client, job: Job, file: str) -> None:
    assert refuses_other_methods(page, f"/jobs/{job.pk}/{file}", "get")
