"""The page, the panel and the command of accuracy. The figures are made up."""

import io
import json
import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client

from jobs.models import Job
from tests import factories
from tests.pages import HTMX, asks_for_login, queries, refuses_other_methods

URL = "/jobs/accuracy/"
GIB = 1 << 30
pytestmark = pytest.mark.django_db


def ended(user: User, name: str, **fields: Any) -> Job:
    job = factories.make_job(user, name=name, kind="grpo", spec=factories.grpo_spec().to_json())
    factories.make_outcome(job, **fields)
    return job


def text_of(response: Any) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", response.content.decode()).split())


def names(response: Any) -> list[str]:
    return re.findall(r'#accuracy">([^<]*)</a>\s*</th>', response.content.decode())


@pytest.fixture
def three(user: User) -> None:
    ended(user, "over", estimated_peak=44 * GIB, measured_peak=40 * GIB)  # 10 % above
    ended(user, "under", estimated_peak=30 * GIB, measured_peak=40 * GIB, gpu="l4")
    ended(user, "unmeasured", measured_peak=None, measured_seconds=None, family="llama")


def test_says_mean_and_worst_with_their_counts(page: Client, three: None) -> None:
    text = text_of(page.get(URL))

    assert "On GPUs, 3 finished runs." in text
    assert "Peak memory: off by 18 % on average and 25 % at worst, in the 2 that" in text
    assert "Time of a step: off by 10 % on average and 10 % at worst, in the 2 that" in text
    assert "44.0 GiB 40.0 GiB measured 10 % above" in text
    assert "25 % below" in text


def test_is_sorted_by_the_size_of_an_error_with_the_unmeasured_last(
    page: Client, three: None
) -> None:
    assert names(page.get(f"{URL}?sort=-peak_error")) == ["under", "over", "unmeasured"]
    assert names(page.get(f"{URL}?sort=peak_error")) == ["over", "under", "unmeasured"]
    assert names(page.get(f"{URL}?sort=job")) == ["over", "under", "unmeasured"]
    assert page.get(f"{URL}?sort=nonsense").status_code == 200


def test_is_filtered_and_the_summary_is_of_what_is_shown(page: Client, three: None) -> None:
    found = page.get(f"{URL}?gpu=l4", headers=HTMX)

    assert names(found) == ["under"]
    assert "off by 25 % on average and 25 % at worst, in the 1 that" in text_of(found)
    assert "<html" not in found.content.decode()
    assert "None measured its peak memory." in text_of(page.get(f"{URL}?family=llama"))
    assert "No such run has ended." in text_of(page.get(f"{URL}?algorithm=dance"))


def test_without_runs_it_says_so(page: Client) -> None:
    assert "No run on GPUs has ended yet." in text_of(page.get(URL))


def test_is_paged(page: Client, user: User) -> None:
    for number in range(51):
        ended(user, f"run {number}")

    assert len(names(page.get(URL))) == 50
    assert len(names(page.get(f"{URL}?page=2"))) == 1


def test_others_do_not_see_it(page: Client, user: User, staff: User) -> None:
    ended(staff, "of somebody else")

    assert names(page.get(URL)) == []
    page.force_login(staff)
    assert names(page.get(URL)) == ["of somebody else"]


def test_it_asks_for_login_and_refuses_other_methods(page: Client) -> None:
    assert asks_for_login(URL)
    assert refuses_other_methods(page, URL, "get")


def test_more_runs_need_no_more_queries(page: Client, user: User) -> None:
    ended(user, "one")
    few = queries(page, URL)
    ended(user, "two")
    ended(user, "three")

    assert queries(page, URL) == few


def test_the_page_of_a_run_shows_its_errors(page: Client, user: User) -> None:
    job = ended(user, "a run", estimated_phases={"rollout": 6.0, "ref": 1.0},
                measured_phases={"rollout": 5.0}, learned_from=2)  # fmt: skip

    text = text_of(page.get(job.get_absolute_url()))

    assert "Estimate and what was measured" in text
    assert "Peak memory 44.0 GiB 40.0 GiB 10 % above" in text
    assert "A step 9 s 10 s 10 % below" in text
    assert "Rollout 6 s 5 s 20 % above" in text
    assert "Reference" not in text  # nobody measured it
    assert "corrected by 2 earlier runs" in text


def test_the_page_of_another_run_has_no_such_panel(page: Client, user: User) -> None:
    job = factories.make_job(user)

    assert "what was measured" not in text_of(page.get(job.get_absolute_url()))


def told(*arguments: str) -> str:
    out = io.StringIO()
    call_command("accuracy", *arguments, stdout=out)
    return out.getvalue()


def test_the_command_tells_the_same(three: None) -> None:
    text = told()
    assert "44.0 GiB estimated   40.0 GiB measured +10%" in text
    assert "Peak memory: off by 18% on average and 25% at worst, over 2 runs." in text

    found = json.loads(told("--gpu", "l4", "--json"))
    assert found["summary"]["peak_error_worst"] == 0.25
    [run] = found["runs"]
    assert (run["name"], run["gpu"], run["gpus"]) == ("under", "l4", 8)
    assert run["figures"][0] == {
        "name": "Peak memory", "unit": "bytes", "estimated": 30 * GIB, "measured": 40 * GIB,
        "error": -0.25,
    }  # fmt: skip


def test_the_command_says_that_there_are_none() -> None:
    assert told() == "No run on GPUs has ended yet whose estimate can be judged.\n"
    assert json.loads(told("--json"))["runs"] == []
