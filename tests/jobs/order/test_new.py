from django.test import Client

from tests.pages import asks_for_login, refuses_other_methods

URL = "/jobs/new/"


def test_lists_every_recipe(page: Client) -> None:
    response = page.get(URL)
    assert response.status_code == 200
    for slug in ("sft", "grpo", "sample-sft", "sample-grpo"):
        assert f'href="/jobs/new/{slug}/"'.encode() in response.content


def test_anonymous(db: None) -> None:
    assert asks_for_login(URL)


def test_wrong_method(page: Client) -> None:
    assert refuses_other_methods(page, URL, "get")
