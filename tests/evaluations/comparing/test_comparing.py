"""Evaluations beside each other, prompt by prompt."""

import html
import json
import time
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from evaluations.kinds.evaluate import EvaluateSpec
from evaluations.models import Evaluation
from evaluations.results.keeping import keep
from jobs.models import Status
from monitoring.answers.rows import digest
from tests import factories
from tests.evaluations.made import evaluated, kept, line, result
from tests.pages import asks_for_login, queries, refuses_other_methods

pytestmark = pytest.mark.django_db
COMPARE = "/evaluations/compare/"


def two(user: User, prompts: int = 40) -> tuple[Evaluation, Evaluation]:
    """The second is right where the first is, and at every second of the others."""
    first = kept(user, [[float(n % 4 == 0)] for n in range(prompts)])
    second = kept(user, [[float(n % 2 == 0)] for n in range(prompts)])
    return first, second


def url(*evaluations: Evaluation, **more: object) -> str:
    ids = "&".join(f"id={each.job_id}" for each in evaluations)
    return f"{COMPARE}?{ids}" + "".join(f"&{name}={value}" for name, value in more.items())


def text_of(page: Client, asked: str, status: int = 200, **options: Any) -> str:
    response = page.get(asked, **options)
    assert response.status_code == status
    return html.unescape(response.content.decode())


def test_a_page_as_every_other(page: Client, user: User) -> None:
    first, second = two(user)
    assert asks_for_login(url(first, second))
    assert refuses_other_methods(page, url(first, second), "get")
    few = queries(page, url(first, second))
    assert queries(page, url(first, second, second, first)) <= few
    assert "<html" not in text_of(page, url(first, second), headers={"HX-Request": "true"})


def test_the_difference_with_its_bounds_and_counts(page: Client, user: User) -> None:
    text = text_of(page, url(*two(user)))
    assert "It is better: the difference is +0.25" in text
    assert 'data-label="Better">10<' in text
    assert 'data-label="Worse">0<' in text
    assert 'data-label="Same">30<' in text


def test_any_of_them_can_be_the_one_that_the_others_are_compared_with(
    page: Client, user: User
) -> None:
    first, second = two(user)
    text = text_of(page, url(first, second))
    assert f'href="?id={second.job_id}&id={first.job_id}"' in text


def test_no_difference_that_shows(page: Client, user: User) -> None:
    first, _ = two(user)
    again = kept(user, [[float(n % 4 == 0)] for n in range(40)])
    text = text_of(page, url(first, again))
    assert "No difference that shows: each of the 40 prompts scores the same." in text


def test_prompts_are_filtered_searched_sorted_and_paged(page: Client, user: User) -> None:
    first, second = two(user)
    better = text_of(page, url(first, second, only="better"))
    assert "How much is 2 + 2?" in better
    assert "How much is 3 + 3?" not in better
    assert "No prompt fits" in text_of(page, url(first, second, only="worse"))
    found = text_of(page, url(first, second, q="MUCH IS 7 "))
    assert "How much is 7 + 7?" in found
    assert "How much is 8 + 8?" not in found
    assert "No prompt fits" in text_of(page, url(first, second, q="%25_"))
    assert "Page 2 of 2" in text_of(page, url(first, second, page=2))
    for odd in ("sort=x", "only=<b>", "page=-1", "other=x", "q=%00", "sort=-gain", "sort=first"):
        assert page.get(f"{url(first, second)}&{odd}").status_code == 200


def test_both_answers_are_one_click_away(page: Client, user: User) -> None:
    first, second = two(user)
    text = text_of(page, url(first, second))
    key = digest("How much is 2 + 2?")
    ids = f"job={first.job_id}&job={second.job_id}"
    assert f"/jobs/compare/answers/?{ids}&kind=validation&prompt={key}" in text


def test_only_shared_prompts_are_compared_and_it_is_said(page: Client, user: User) -> None:
    first = kept(user, [[0.0]] * 30)
    second = kept(user, [[1.0]] * 20)
    text = text_of(page, url(first, second))
    assert "Only the 20 prompts that both have are compared: 10 are only in the first" in text


def test_different_prompts_are_refused(page: Client, user: User) -> None:
    first, _ = two(user)
    other = keep(evaluated(user, [line(n, [1.0]) for n in range(1000, 1010)]))
    assert other is not None
    said = f"Evaluations {first.job_id} and {other.job_id} have no prompt in common"
    assert said in text_of(page, url(first, other), 422)


def test_different_evaluators_are_said_with_what_differs(page: Client, user: User) -> None:
    first, _ = two(user)
    told = result(evaluator={"digest": "e" * 64, "way": "answers", "trainyard_node": "0.1.0",
                             "backend": "vllm", "of": {"temperature": 1}})  # fmt: skip
    other = kept(user, [[1.0]] * 40, told=told)
    text = text_of(page, url(first, other))
    assert "These are results of different evaluators" in text
    assert "They differ in backend, temperature." in text
    assert "vllm" in text


def test_what_cannot_be_compared(page: Client, user: User, other: User) -> None:
    first, second = two(user)
    assert "Choose from 2 to 8" in text_of(page, url(first), 422)
    assert page.get(COMPARE).status_code == 404
    assert page.get(f"{COMPARE}?id=x&id=1").status_code == 404
    assert page.get(f"{url(first)}&id=999999").status_code == 404
    assert page.get(f"{url(first)}&id={'9' * 15}").status_code == 404
    assert page.get(url(first, kept(other, [[1.0]]))).status_code == 404
    train = factories.make_job(user)
    assert f"Job {train.pk} is no evaluation." in text_of(page, f"{url(first)}&id={train.pk}", 422)
    running = evaluated(user, [], status=Status.RUNNING)
    said = f"Job {running.pk} has no result: it is running."
    assert said in text_of(page, f"{url(first)}&id={running.pk}", 422)
    loss = kept(user, [[1.0]], spec=EvaluateSpec(model="/m", way="loss"))
    assert "in different ways: answers, loss" in text_of(page, url(first, loss), 422)
    Evaluation.objects.filter(pk=second.pk).update(scores=b"broken")
    assert "cannot be read" in text_of(page, url(first, second), 422)
    Evaluation.objects.filter(pk=second.pk).update(scores=None)
    assert "nobody knows what each prompt scored" in text_of(page, url(first, second), 422)


def test_html_in_a_prompt_is_text(page: Client, user: User) -> None:
    rows = [line(n, [1.0]) | {"text": "<script>x</script>"} for n in range(3)]
    first, second = keep(evaluated(user, rows)), keep(evaluated(user, rows))
    assert first is not None
    assert second is not None
    assert b"<script>x" not in page.get(url(first, second)).content


def test_a_thousand_prompts_of_four_answers_are_compared_at_once(page: Client, user: User) -> None:
    rows = [[float((n * k) % 3 == 0) for k in range(4)] for n in range(1000)]
    first, second = kept(user, rows), kept(user, rows[::-1])
    page.get(url(first, second))
    begun = time.perf_counter()
    assert "Page 1 of 40" in text_of(page, url(first, second))
    assert time.perf_counter() - begun < 2  # tests/bench says how much it is


def test_the_command_compares(staff: User, user: User) -> None:
    first, second = two(user)
    out = StringIO()
    call_command("compare_evaluations", first.job_id, second.job_id, json=True, prompts=2,
                 user=staff.username, stdout=out)  # fmt: skip
    told = json.loads(out.getvalue())
    (other,) = told["others"]
    assert (other["prompts"], other["same_evaluator"]) == (40, True)
    mean = other["differences"][0]
    assert (mean["difference"], mean["verdict"]) == (0.25, "better")
    assert mean["low"] < 0.25 < mean["high"]
    assert [each["gain"] for each in other["most_different"]] == [1.0, 1.0]
    call_command("compare_evaluations", first.job_id, second.job_id, user=staff.username,
                 stdout=(text := StringIO()))  # fmt: skip
    assert "10 better, 0 worse, 30 the same" in text.getvalue()
    with pytest.raises(CommandError, match="Choose from 2 to 8"):
        call_command("compare_evaluations", first.job_id, user=staff.username)
    with pytest.raises(CommandError, match="There is no such job"):
        call_command("compare_evaluations", 1, 999999, user=staff.username)


def test_too_many_are_refused_before_their_scores_are_read(page: Client, user: User) -> None:
    jobs = [factories.make_job(user, kind="evaluate", spec={}) for _ in range(9)]
    with CaptureQueriesContext(connection) as asked:
        response = page.get(f"{COMPARE}?{'&'.join(f'id={job.pk}' for job in jobs)}")
    assert "Choose from 2 to 8" in html.unescape(response.content.decode())
    assert not [each for each in asked if '"scores"' in each["sql"]]


def test_the_command_says_what_must_be_said_of_a_difference(staff: User, user: User) -> None:
    spec = EvaluateSpec(model="/m", way="loss")
    made = [evaluated(user, [line(n, [], nll=1.0, tokens=n + more) for n in range(3)], spec=spec)
            for more in (1, 2)]  # fmt: skip
    numbers = [each.job_id for each in map(keep, made) if each]
    call_command("compare_evaluations", *numbers, json=True, user=staff.username,
                 stdout=(out := StringIO()))  # fmt: skip
    told = json.loads(out.getvalue())["others"][0]["differences"][0]
    assert told["note"].startswith("The models cut the texts into other tokens")
    call_command("compare_evaluations", *numbers, user=staff.username, stdout=(text := StringIO()))
    assert told["note"] in text.getvalue()
