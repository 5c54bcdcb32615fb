"""The list of evaluations, the panel of one, and the leaderboard."""

import html
import json
from io import StringIO
from typing import Any

import numpy as np
import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client

from evaluations.board.leading import BEST, LEVEL, groups_of, rows_of, standings
from evaluations.kinds.evaluate import EvaluateSpec
from evaluations.models import Evaluation
from evaluations.results.keeping import keep
from evaluations.statistics import paired
from evaluations.statistics.resampling import Interval, Sums, interval
from jobs.models import Status
from tests.evaluations.made import evaluated, kept, line, result
from tests.pages import asks_for_login, queries, refuses_other_methods

pytestmark = pytest.mark.django_db
LIST, BOARD = "/evaluations/", "/evaluations/board/"


def scored(owner: User, shift: float, prompts: int = 60, model: str = "m", **more: Any) -> Any:
    """An evaluation whose prompts score a little more than those of another one."""
    draws = np.random.default_rng(1)
    ease, noise = draws.random(prompts), draws.normal(0, 0.01, prompts)
    scores = [[float(e + shift + n * shift)] for e, n in zip(ease, noise, strict=True)]
    told = result(metrics={"eval/score/mean": float(np.mean(scores))}, **more)
    return kept(owner, scores, told=told, spec=EvaluateSpec(model=f"/models/{model}"))


def text_of(page: Client, url: str, **options: Any) -> str:
    response = page.get(url, **options)
    assert response.status_code == 200
    return html.unescape(response.content.decode())


@pytest.mark.parametrize("url", [LIST, BOARD])
def test_pages_as_every_other(page: Client, user: User, url: str) -> None:
    assert asks_for_login(url)
    assert refuses_other_methods(page, url, "get")
    assert "Evaluate a model" in text_of(page, url)
    scored(user, 0.0)
    few = queries(page, url)
    for nr in range(3):
        scored(user, 0.1 * nr, model=f"m{nr}")
    assert queries(page, url) <= few + (1 if url == BOARD else 0)  # the board reads the scores
    part = text_of(page, url, headers={"HX-Request": "true"})
    assert "<html" not in part


def test_a_list_filters_and_sorts(page: Client, user: User, other: User) -> None:
    scored(user, 0.1)
    running = evaluated(user, [], name="not yet", status=Status.RUNNING)
    theirs = evaluated(other, [], name="theirs")
    whole = text_of(page, LIST)
    assert running.name in whole
    assert theirs.name not in whole
    assert "sums@1" in whole
    assert running.name not in text_of(page, f"{LIST}?status=completed")
    assert running.name not in text_of(page, f"{LIST}?set=sums@1")
    assert "No evaluation matches" in text_of(page, f"{LIST}?way=loss")
    for odd in ("?sort=nothing", "?q=%00", "?of=x", f"?of={'9' * 30}", "?page=x", "?way=<b>"):
        assert page.get(LIST + odd).status_code == 200
    for sort in ("name", "-status", "set", "-prompts"):
        assert "not yet" in text_of(page, f"{LIST}?sort={sort}")


def test_the_panel_shows_figures_with_bounds(page: Client, user: User) -> None:
    found = scored(user, 0.1, left_out=["3 answers could not be scored: <KeyError>."])
    text = text_of(page, f"/jobs/{found.job_id}/")
    assert "eval/score/mean" in text
    low, _ = found.intervals["eval/score/mean"]
    assert f"{low:.4g}"[:5] in text
    assert "3 answers could not be scored" in text
    assert "<KeyError>" not in page.get(f"/jobs/{found.job_id}/").content.decode()
    assert "transformers" in text
    waiting = evaluated(user, [])
    assert "Its result is being read" in text_of(page, f"/jobs/{waiting.pk}/")
    running = evaluated(user, [], status=Status.RUNNING)
    assert "Its figures are here once" in text_of(page, f"/jobs/{running.pk}/")


def test_what_cannot_be_read_is_said(page: Client, user: User) -> None:
    found = kept(user, [[1.0]], told=b"{")
    assert "it is no JSON" in text_of(page, f"/jobs/{found.job_id}/")
    assert "it is no JSON" in text_of(page, LIST)


def test_results_of_different_evaluators_are_in_no_one_table(page: Client, user: User) -> None:
    scored(user, 0.0, model="one")
    scored(user, 0.1, model="two", evaluator={"digest": "e" * 64})
    scored(user, 0.2, model="three", set={"digest": "f" * 64, "name": "others@1"})
    kept(user, [[1.0]], told=result(evaluator={}))  # nobody knows by what: it is in none
    groups = groups_of(user)
    assert len(groups) == 3
    for group in groups:
        table = text_of(page, f"{BOARD}?group={group.key}", headers={"HX-Request": "true"})
        assert sum(f"> {name}" in table or f"\n{name}" in table or f"{name}\n" in table
                   for name in ("one", "two", "three")) == 1  # fmt: skip


def test_the_best_is_only_what_the_interval_says(user: User) -> None:
    rows = [scored(user, shift, model=f"m{shift}") for shift in (0.0, 0.3, 0.6)]
    assert standings(rows, "eval/score/mean") == {rows[2].pk: BEST}
    same = scored(user, 0.6, model="same")
    assert standings([*rows, same], "eval/score/mean") == {rows[2].pk: LEVEL, same.pk: LEVEL}
    assert standings(rows[:1], "eval/score/mean") == {}
    assert standings(rows, "eval/tokens") == {}  # nobody knows which side is better


def many(user: User, model: str, right: float, tasks: int = 60, documents: int = 100) -> Evaluation:
    """An evaluation of many tasks of lm-eval."""
    draws = np.random.default_rng(int(right * 1000))
    rows, metrics = [], {}
    for nr in range(tasks):
        scores = (draws.random(documents) < right).astype(float)
        rows += [line(nr * 1000 + at, [float(score)], task=f"t{nr}", metric="acc")
                 for at, score in enumerate(scores)]  # fmt: skip
        metrics[f"eval/t{nr}/acc"] = float(scores.mean())
    told = result(metrics=metrics, higher_is_better=dict.fromkeys(metrics, True))
    found = keep(evaluated(user, rows, told=told, spec=EvaluateSpec(model=model, way="tasks")))
    assert found is not None
    return found


def test_many_tasks_cost_what_the_one_does_that_is_looked_at(
    page: Client, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[int] = []

    def counting(sums: Sums) -> Interval | None:
        drawn.append(1)
        return interval(sums)

    monkeypatch.setattr(paired, "interval", counting)
    for nr in range(4):
        many(user, f"/m/{nr}", 0.3 + nr / 10, tasks=20, documents=30)
    assert "t0/acc" in text_of(page, BOARD)
    assert len(drawn) == 3  # each of the others with the best, by one figure of twenty
    few = queries(page, BOARD)
    assert len(drawn) == 3  # what was found is remembered
    many(user, "/m/5", 0.9, tasks=20, documents=30)
    assert queries(page, BOARD) <= few + 1
    assert len(drawn) == 3 + 4


def test_models_with_fewer_prompts_are_marked(page: Client, user: User) -> None:
    scored(user, 0.0, model="all")
    assert ">fewer<" not in text_of(page, BOARD)
    scored(user, 0.3, model="some", counts={"prompts": 60, "too_long": 5})
    text = " ".join(text_of(page, BOARD).split())
    assert "1 of these models has figures of fewer than 60 prompts" in text
    assert 'data-label="Prompts">55 <span class="tag">fewer</span>' in text


def test_a_broken_row_marks_nothing(user: User) -> None:
    rows = [scored(user, shift, model=f"m{shift}") for shift in (0.0, 0.3)]
    Evaluation.objects.filter(pk=rows[0].pk).update(scores=b"broken")
    assert standings(rows, "eval/score/mean") == {}


def test_the_newest_evaluation_of_a_model_stands_for_it(page: Client, user: User) -> None:
    scored(user, 0.0)
    newest = scored(user, 0.5)
    text = text_of(page, BOARD)
    assert f"/jobs/{newest.job_id}/" in text
    assert text.count('data-label="Evaluated"') == 1


def test_the_command_lists_them(staff: User, user: User) -> None:
    found = scored(user, 0.2)
    out = StringIO()
    call_command("evaluations", json=True, user=staff.username, stdout=out)
    (told,) = json.loads(out.getvalue())
    assert told["id"] == found.job_id
    assert told["set"]["name"] == "sums@1"
    assert told["intervals"]["eval/score/mean"] == found.intervals["eval/score/mean"]
    call_command("evaluations", way="loss", user=staff.username, stdout=(none := StringIO()))
    assert none.getvalue().strip() == ""
    call_command("evaluations", user=staff.username, stdout=(text := StringIO()))
    assert "score/mean" in text.getvalue()


def test_lines_of_tasks_have_a_figure_each(user: User) -> None:
    rows = [line(n, [n % 2], task="arc", metric="acc") for n in range(40)]
    told = result(metrics={"eval/arc/acc": 0.5})
    job = evaluated(user, rows, told=told, spec=EvaluateSpec(model="/m", way="tasks"))
    found = keep(job)
    assert found is not None
    assert list(found.intervals) == ["eval/arc/acc"]


def test_a_model_with_an_adapter_is_another_one(user: User) -> None:
    scored(user, 0.0)
    for nr in (1, 2):
        kept(user, [[0.5]] * 60, spec=EvaluateSpec(model="/models/m", adapter=f"/a/{nr}"))
    (group,) = groups_of(user)
    assert [each.subject for each in rows_of(group, user)] == ["2 on m", "1 on m", "m"]


def test_groups_of_one_name_can_be_told_apart(user: User) -> None:
    scored(user, 0.0)
    scored(user, 0.0, set={"digest": "f" * 64, "name": "sums@1"})
    scored(user, 0.0, evaluator={"digest": "e" * 64})
    assert len({group.label for group in groups_of(user)}) == 3
