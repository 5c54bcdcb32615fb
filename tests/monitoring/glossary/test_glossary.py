import io
import json
import re
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client

from jobs.verl.glossary import entries
from tests.pages import HTMX, asks_for_login, queries, refuses_other_methods

URL = "/glossary/"
TIP = "/glossary/tip/"
pytestmark = pytest.mark.django_db


def titles(response: Any) -> list[str]:
    return re.findall(r"<h2>([^<]*)</h2>", response.content.decode())


def test_the_page_shows_all_and_finds_by_words_and_release(page: Client) -> None:
    assert len(titles(page.get(URL))) == len(entries())
    assert titles(page.get(f"{URL}?q=explained_var")) == [
        "Share of the returns that the critic explains"
    ]
    assert titles(page.get(f"{URL}?q=trajectory_staleness&release=0.7.1")) == []
    assert "No metric has that" in page.get(f"{URL}?q=no+such+zebra").content.decode()
    assert titles(page.get(f"{URL}?release=junk")) == titles(page.get(URL))


def test_without_and_with_htmx(page: Client) -> None:
    whole, part = page.get(URL), page.get(URL, headers=HTMX)

    assert b"<html" in whole.content
    assert b"<html" not in part.content
    assert titles(whole) == titles(part)


def test_a_wrong_metric_names_the_line_in_the_release_that_has_it(page: Client) -> None:
    def wrong(release: str) -> bool:
        found = page.get(f"{TIP}?name=response_length/clip_ratio&release={release}")
        return "trainer/ppo/metric_utils.py" in found.content.decode()

    assert wrong("0.9.1")
    assert not wrong("0.8.0")


def test_a_tip_of_what_is_not_verls_says_so_and_is_inert(page: Client) -> None:
    response = page.get(f"{TIP}?name=<script>alert(1)</script>")

    assert "verl logs no metric of this name" in response.content.decode()
    assert "<script>" not in response.content.decode()


@pytest.mark.parametrize("url", [URL, TIP])
def test_needs_a_login_and_takes_get_alone(page: Client, url: str) -> None:
    assert asks_for_login(url)
    assert refuses_other_methods(page, url, "get")
    assert queries(page, url) < 8


def said(*arguments: str) -> str:
    out = io.StringIO()
    call_command("glossary", *arguments, stdout=out)
    return out.getvalue()


def test_the_command_says_what_the_page_says() -> None:
    text = said("clip_ratio", "--release", "0.9.1")

    assert "Wrong in verl 0.9.1: The V1 trainer pads to the longest answer" in text
    assert "Wrong in" not in said("critic/score/mean")
    assert json.loads(said("critic/score/mean", "--json"))[0]["title"] == "Score of the answers"
    assert said("no", "such", "zebra").strip().startswith("No metric has that")
