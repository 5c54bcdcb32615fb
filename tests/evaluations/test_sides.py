"""Figures of which less is better: their evaluator says so, and every place goes by it."""

import html
import json
from collections.abc import Sequence

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client

from evaluations.board.leading import BEST, by_default, standings
from evaluations.chains.deciding import decide
from evaluations.chains.models import Chain, Part
from evaluations.gates.judging import NotComparable, beside
from evaluations.kinds.evaluate import EvaluateSpec
from evaluations.models import Evaluation
from evaluations.results.keeping import keep, tell_run
from evaluations.steps.reading import read_chain
from evaluations.steps.step import Limit
from jobs import measured
from jobs.models import Job
from jobs.verl.better import is_higher_better
from tests import factories
from tests.evaluations.made import evaluated, line, result

pytestmark = pytest.mark.django_db
BRIER = "eval/odds/brier_score"  # its name says score, and less of it is better
SIDES = {BRIER: False}


def odds(user: User, value: float, model: str, sides: object = SIDES) -> Evaluation:
    """An evaluation by lm-eval whose documents have about this Brier score."""
    scores = [value + (n % 7) / 100 for n in range(40)]
    return tasks(user, scores, model, sides)


def tasks(user: User, scores: Sequence[float], model: str, sides: object) -> Evaluation:
    rows = [line(n, [each], task="odds", metric="brier_score") for n, each in enumerate(scores)]
    told = result(metrics={BRIER: sum(scores) / len(scores)}, higher_is_better=sides)
    found = keep(evaluated(user, rows, told=told, spec=EvaluateSpec(model=model, way="tasks")))
    assert found is not None
    return found


def lossy(user: User, nll: float, model: str) -> Evaluation:
    rows = [{"prompt": f"{n:016x}", "nll": nll + n % 5, "tokens": 10} for n in range(40)]
    loss = (nll + 2) / 10
    told = result(metrics={"eval/loss": loss, "eval/perplexity": 2.0**loss})
    found = keep(evaluated(user, rows, told=told, spec=EvaluateSpec(model=model, way="loss")))
    assert found is not None
    return found


def test_what_its_evaluator_said_is_kept(user: User) -> None:
    found = odds(user, 0.2, "/m", {BRIER: False, "odd": 3, "": True, "eval/odds/acc": True})
    assert found.higher_is_better == {BRIER: False, "eval/odds/acc": True}
    assert found.is_higher_better(BRIER) is False
    assert found.is_higher_better("eval/odds/other_score") is True  # only its name says
    assert odds(user, 0.2, "/m", ["x"]).higher_is_better == {}


def test_the_leaderboard_has_the_least_first_and_marks_it(page: Client, user: User) -> None:
    rows = [odds(user, value, f"/m/{value}") for value in (0.6, 0.2, 0.4)]
    assert standings(rows, BRIER) == {rows[1].pk: BEST}
    assert by_default([BRIER], rows) == BRIER
    text = " ".join(html.unescape(page.get("/evaluations/board/").content.decode()).split())
    assert f"By {BRIER}, of which less is better" in text
    assert text.index(f"/jobs/{rows[1].job_id}/") < text.index(f"/jobs/{rows[0].job_id}/")


@pytest.mark.parametrize("figure", ["eval/loss", "eval/perplexity"])
def test_the_least_loss_is_marked_as_best(user: User, figure: str) -> None:
    rows = [lossy(user, nll, f"/m/{nll}") for nll in (30.0, 10.0, 20.0)]
    assert standings(rows, figure) == {rows[1].pk: BEST}


def test_a_comparison_calls_less_better(user: User, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = odds(user, 0.4, "/one"), odds(user, 0.2, "/two")
    ids = [str(each.job_id) for each in (first, second)]
    call_command("compare_evaluations", *ids, "--json", "--user", user.username)
    ((told,),) = [other["differences"] for other in json.loads(capsys.readouterr().out)["others"]]
    assert (told["better"], told["worse"], told["verdict"]) == (40, 0, "better")
    assert told["sentence"].startswith("It is better: the difference is -0.2")


def test_where_nobody_says_the_side_it_is_said_that_nobody_does(
    user: User, capsys: pytest.CaptureFixture[str]
) -> None:
    jobs = []
    for value in (0.4, 0.2):
        rows = [line(n, [value + n % 7 / 100], task="odds", metric="bits") for n in range(40)]
        spec = EvaluateSpec(model=f"/{value}", way="tasks")
        told = result(metrics={"eval/odds/bits": value})
        jobs.append(evaluated(user, rows, told=told, spec=spec))
        assert keep(jobs[-1])
    ids = [str(job.pk) for job in jobs]
    call_command("compare_evaluations", *ids, "--json", "--user", user.username)
    ((said,),) = [other["differences"] for other in json.loads(capsys.readouterr().out)["others"]]
    assert said["verdict"] == "less"
    assert said["note"].startswith("Nobody says whether more of it is better")
    with pytest.raises(NotComparable, match="nobody says"):
        beside(jobs[0], jobs[1], Limit("eval/odds/bits", not_worse_than="other"))


@pytest.mark.parametrize(
    "limit", [Limit(BRIER, better_than="the other"), Limit(BRIER, not_worse_than="the other")]
)
def test_a_gate_lets_less_through(user: User, limit: Limit) -> None:
    less, more = odds(user, 0.2, "/less"), odds(user, 0.4, "/more")
    assert beside(less.job, more.job, limit).failure == ""
    assert beside(more.job, less.job, limit).failure


def test_a_chain_chooses_the_least(user: User) -> None:
    text = (
        "name: c\nsteps:\n- {name: all, models: [/a, /b]}\n"
        "- {name: scores, evaluate: [all]}\n"
        f"- {{name: best, choose: all, by: {BRIER}, from: scores}}\n"
    )
    machine = factories.make_job(user).machine
    chain = Chain.objects.create(owner=user, name="c", text=text, machine=machine)
    parts: dict[str, list[Part]] = {"all": [], "scores": []}
    for nr, value in enumerate((0.4, 0.2), 1):
        model = chain.parts.create(step="all", nr=nr, path=f"/{nr}", label=f"/{nr}")
        job = odds(user, value, f"/{nr}").job
        evaluation = chain.parts.create(step="scores", nr=nr, job=job, asked=job.pk)
        evaluation.of.set([model])
        parts["all"].append(model)
        parts["scores"].append(evaluation)
    Part.objects.update(done_at="2026-01-01T00:00Z")
    for each in (*parts["all"], *parts["scores"]):
        each.refresh_from_db()
    [chosen] = decide(read_chain(text).step("best"), chain, parts)
    assert chosen.model.path == "/2"
    assert "lowest" in chosen.said


def test_the_series_of_a_run_says_the_side_where_its_name_would_mislead(user: User) -> None:
    run: Job = factories.make_job(user)
    found = odds(user, 0.2, "/m")
    found.of_job, found.of_step = run, 10
    found.metrics |= {"eval/odds/acc": 0.5}
    tell_run(found)
    names = measured.names_of([run.pk], 100)
    assert {name.rpartition("odds/")[2] for name in names} == {"brier_score/lower", "acc"}
    assert {is_higher_better(name) for name in names} == {False, True}
