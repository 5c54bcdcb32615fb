"""Unusual values: told beside the field, in the preview, by the commands and on the job's page."""

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.http import HttpResponseBase
from django.test import Client

from jobs.models import Job
from tests import factories

URL = "/jobs/new/sample-sft/"
TOLD = "Not 1 but 1e-07 to 0.005 is usual. At 0 nothing is learnt; above it training diverges."

pytestmark = pytest.mark.usefixtures("queue")


def warnings_in(response: HttpResponseBase) -> dict[str, str]:
    """The text of each field's warning slot that has any, by the field's name."""
    content: bytes = getattr(response, "content", b"")
    found = re.findall(r'id="warning-(\w+)"[^>]*>(.*?)</p>', content.decode(), re.DOTALL)
    return {name: text.strip() for name, text in found if text.strip()}


def test_it_stands_beside_the_field_as_soon_as_it_is_typed(
    page: Client, sft_data: dict[str, str]
) -> None:
    response = page.post(f"{URL}preview/", {**sft_data, "lr": "1"})
    assert warnings_in(response) == {"lr": TOLD}
    assert 'aria-label="Warnings"' in response.content.decode()
    assert warnings_in(page.post(f"{URL}preview/", {**sft_data, "lr": "0.001"})) == {}


def test_an_error_elsewhere_does_not_hide_it(page: Client, sft_data: dict[str, str]) -> None:
    response = page.post(f"{URL}preview/", {**sft_data, "lr": "0", "epochs": "x"})
    assert list(warnings_in(response)) == ["lr"]
    response = page.post(URL, {**sft_data, "lr": "0", "epochs": "x", "machine": "999"})
    assert (response.status_code, list(warnings_in(response))) == (422, ["lr"])


def test_the_input_names_its_warning(page: Client, samples: Path) -> None:
    content = page.get(URL).content.decode()
    assert 'aria-describedby="help-lr error-lr warning-lr"' in content
    assert warnings_in(page.get(URL)) == {}


def test_it_refuses_nothing_and_the_jobs_page_says_it_again(
    page: Client, sft_data: dict[str, str]
) -> None:
    assert page.post(URL, {**sft_data, "lr": "1", "action": "draft"}).status_code == 302
    content = page.get(f"/jobs/{Job.objects.get().pk}/").content.decode()
    assert f"Learning rate: {TOLD}" in content


def test_a_usual_jobs_page_warns_of_nothing(page: Client, user: User, samples: Path) -> None:
    job = factories.make_job(user, recipe="sample-sft")
    assert "Unusual settings" not in page.get(f"/jobs/{job.pk}/").content.decode()


def command(*argv: str) -> tuple[Any, str]:
    out, err = io.StringIO(), io.StringIO()
    call_command(*argv, "--json", stdout=out, stderr=err)
    return json.loads(out.getvalue()), err.getvalue()


def test_an_override_that_nothing_reads_is_told_wherever_it_is_given(
    page: Client, staff: User, sft_data: dict[str, str]
) -> None:
    data = {**sft_data, "overrides": "trainer.balance_batch=true"}
    told = "trainer.balance_batch changes nothing: verl 0.9.1 does not go by it."
    assert told in warnings_in(page.post(f"{URL}preview/", data)).get("overrides", "")
    assert page.post(URL, {**data, "action": "draft"}).status_code == 302
    assert told in page.get(f"/jobs/{Job.objects.get().pk}/").content.decode()
    found, err = command("preview", "sample-sft", "--set", "trainer.balance_batch=true")
    assert [each["field"] for each in found["warnings"]] == ["overrides"]
    assert told in err


@pytest.mark.parametrize("name", ["preview", "submit"])
def test_a_command_says_it_on_the_error_output_and_in_its_json(
    staff: User, samples: Path, name: str
) -> None:
    told, err = command(name, "sample-sft", "--set", "lr=1")
    assert told["warnings"] == [{"field": "lr", "message": TOLD}]
    assert f"Warning: lr: {TOLD}" in err


def test_a_copy_says_it_too(staff: User, sft_data: dict[str, str]) -> None:
    told, _ = command("submit", "sample-sft", "--set", "lr=1")
    copy, _ = command("clone", str(told["id"]))
    assert copy["warnings"] == [{"field": "lr", "message": TOLD}]


def test_the_command_about_a_job_repeats_what_its_page_says(
    staff: User, user: User, samples: Path
) -> None:
    submitted, _ = command("submit", "sample-sft", "--set", "lr=1")
    told, err = command("job", str(submitted["id"]))
    assert told["warnings"] == [{"field": "lr", "message": TOLD}]
    assert f"Warning: lr: {TOLD}" in err
    usual = factories.make_job(user, recipe="sample-sft")
    told, err = command("job", str(usual.pk))
    assert (told["warnings"], err) == ([], "")
