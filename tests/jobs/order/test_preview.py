import pytest
from django.test import Client

from jobs.models import Job
from tests import taskqueue
from tests.pages import HTMX, asks_for_login, command_in, refuses_other_methods

URL = "/jobs/new/sample-sft/preview/"

pytestmark = pytest.mark.usefixtures("queue")


@pytest.mark.parametrize("headers", [{}, HTMX])
def test_the_command_as_it_would_run(
    page: Client, sft_data: dict[str, str], headers: dict[str, str]
) -> None:
    response = page.post(URL, sft_data, headers=headers)
    assert response.status_code == 200
    assert b"<html" not in response.content
    assert b'id="preview"' in response.content
    assert "optim.lr=0.001" in command_in(response)
    assert b"2048 rows, 32 steps an epoch" in response.content


def test_it_changes_with_what_is_typed(page: Client, sft_data: dict[str, str]) -> None:
    response = page.post(URL, {**sft_data, "lr": "0.25", "epochs": "1"})
    assert "optim.lr=0.25" in command_in(response)
    assert "trainer.total_epochs=1" in command_in(response)


def test_an_invalid_form_shows_the_problem_and_no_command(
    page: Client, sft_data: dict[str, str]
) -> None:
    response = page.post(URL, {**sft_data, "lr": "abc"})
    assert response.status_code == 200
    assert b'id="preview-command"' not in response.content
    assert b"Write a number, such as " in response.content
    assert b'id="error-lr"' in response.content


def test_nothing_is_kept_or_started(page: Client, sft_data: dict[str, str]) -> None:
    page.post(URL, sft_data)
    assert Job.objects.count() == 0
    assert taskqueue.size() == 0


def test_no_such_recipe(page: Client) -> None:
    assert page.post("/jobs/new/none/preview/").status_code == 404


def test_anonymous(db: None) -> None:
    assert asks_for_login(URL, "post")


def test_wrong_method(page: Client) -> None:
    assert refuses_other_methods(page, URL, "post")
