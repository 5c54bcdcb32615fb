"""Overrides that name code are refused by every way in, unless staff writes them."""

import json
from io import StringIO
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from jobs.models import Job
from tests import factories

CODE = [
    "+model.external_lib=os",
    "+data.custom_cls.path=/tmp/x.py",
    "model.trust_remote_code=true",
    "+model.override_config={auto:{_target_:os.system}}",
    "+model.custom_chat_template='{{ x }}'",
]


@pytest.mark.parametrize("override", CODE)
def test_the_form_refuses_it(page: Client, sft_data: dict[str, str], override: str) -> None:
    sft_data["overrides"] = override
    for name in ("jobs:create", "jobs:preview"):
        answer = page.post(reverse(name, args=["sample-sft"]), sft_data)
        assert "Only staff may set it" in answer.content.decode(), name
    assert not Job.objects.exists()


def test_a_draft_does_not_get_it(page: Client, sft_data: dict[str, str]) -> None:
    page.post(reverse("jobs:create", args=["sample-sft"]), sft_data | {"action": "draft"})
    [job] = Job.objects.all()
    changed = sft_data | {"action": "draft", "overrides": CODE[0]}
    answer = page.post(reverse("jobs:edit", args=[job.pk]), changed)
    assert answer.status_code == 422
    job.refresh_from_db()
    assert "external_lib" not in json.dumps(job.spec)


@pytest.mark.parametrize("override", CODE)
def test_the_command_refuses_it(samples: Path, user: User, override: str) -> None:
    options = {"set": [override], "user": user.username, "json": False}
    for command in ("preview", "submit"):
        with pytest.raises(CommandError, match="Only staff may set it"):
            call_command(command, "sample-sft", **options, stdout=StringIO())
    assert not Job.objects.exists()


def test_staff_may(samples: Path, staff: User) -> None:
    said = StringIO()
    call_command("preview", "sample-sft", set=[CODE[0]], user=staff.username, stdout=said)
    assert "external_lib=os" in said.getvalue()


def test_the_admin_changes_no_overrides(page: Client, user: User, staff: User) -> None:
    job = factories.make_job(user)
    before, url = job.spec, reverse("admin:jobs_job_change", args=[job.pk])
    given = {"name": "renamed", "spec": json.dumps({**before, "overrides": CODE})}
    inline = {f"events-{part}": "0" for part in ("TOTAL_FORMS", "INITIAL_FORMS")}
    assert page.post(url, given | inline).status_code == 302  # to the login
    job.refresh_from_db()
    assert job.name != "renamed"
    page.force_login(staff)
    page.post(url, given | inline)
    job.refresh_from_db()
    assert job.spec == before
