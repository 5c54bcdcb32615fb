"""The answers of a run on its page and by the command."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from compute.machines.runners import copy_here
from compute.models import Machine
from jobs import lifecycle
from jobs.models import Job
from monitoring.answers.kept import step_of
from monitoring.answers.prompts import Prompt, page_of
from monitoring.answers.question import Question
from tests import factories
from tests.monitoring.answers.test_prompts import ROWS, answer
from tests.pages import asks_for_login, queries, refuses_other_methods

SCRIPT = "<script>alert(1)</script>"


@pytest.fixture
def job(user: User) -> Job:
    spec = factories.grpo_spec().to_json()
    now = timezone.now()
    given = {"status": "completed", "started_at": now, "ended_at": now, "attempt": 1}
    return factories.make_job(user, name="a <run>", kind="grpo", spec=spec, **given)


def prompts(path: Path) -> Sequence[Prompt]:
    return page_of(step_of(path), Question()).prompts


def write(job: Job, step: int, rows: list[Any], kind: str = "rollouts") -> Path:
    return factories.write_lines(Path(job.run_dir, kind, f"{step}.jsonl"), rows)


def url(job: Job, query: str = "") -> str:
    return f"/jobs/{job.pk}/answers/?{query}"


def text(page: Client, job: Job, query: str = "", **headers: str) -> str:
    response = page.get(url(job, query), headers=headers)
    assert response.status_code == 200
    return " ".join(response.content.decode().split())


def test_the_page_of_a_run_of_rl_leads_here(page: Client, job: Job, user: User) -> None:
    link = f'href="/jobs/{job.pk}/answers/"'
    assert link in page.get(f"/jobs/{job.pk}/").content.decode()
    sft = factories.make_job(user)
    assert f"/jobs/{sft.pk}/answers/" not in page.get(f"/jobs/{sft.pk}/").content.decode()
    assert "asks the model for no answers" in text(page, sft)


def test_the_newest_step_is_shown_with_those_beside_it(page: Client, job: Job) -> None:
    for step in (1, 2, 10):
        write(job, step, ROWS)
    shown = text(page, job)
    assert "<strong>Step 10</strong>" in shown
    assert "3 prompts, 5 answers in the step" in shown
    assert 'rel="prev" title="Left arrow" href="?step=2"' in shown
    assert 'rel="next"' not in shown
    middle = text(page, job, "step=2&q=what")
    assert 'href="?step=1&amp;q=what"' in middle
    assert 'href="?step=10&amp;q=what"' in middle


def test_a_step_that_is_not_there_is_said(page: Client, job: Job) -> None:
    write(job, 4, ROWS)
    shown = text(page, job, "step=90")
    assert "There are no answers of step 90. Step 4 is the nearest that has any" in shown


def test_validation_is_chosen(page: Client, job: Job) -> None:
    write(job, 4, ROWS)
    write(job, 0, [answer("held out", 0, "x")], "validation")
    shown = text(page, job, "kind=validation")
    assert "what is held out?" in shown
    assert "what is a?" not in shown


def test_what_a_model_writes_is_inert(page: Client, job: Job) -> None:
    hostile = answer(SCRIPT, 0, SCRIPT, SCRIPT, **{SCRIPT: SCRIPT}) | {"gts": SCRIPT}
    path = write(job, 1, [hostile])
    key = prompts(path)[0].key
    for query in ("", f"prompt={key}"):
        shown = text(page, job, query)
        assert "&lt;script&gt;alert(1)" in shown
        assert SCRIPT not in shown


def test_answers_side_by_side_with_the_steps_beside_them(page: Client, job: Job) -> None:
    for step in (1, 2, 3):
        path = write(job, step, ROWS if step < 3 else [answer("new", 0, "x")])
    key = prompts(path.with_name("2.jsonl"))[0].key
    shown = text(page, job, f"step=2&prompt={key}")
    for wanted in ("Answer 1", "score 1<", "Answer 2", "score 0<", "<code>acc</code>"):
        assert wanted in shown
    assert "Step 2, shown here" in shown
    assert f'href="/jobs/{job.pk}/answers/?step=1&amp;prompt={key}"' in shown
    assert "It is not among the prompts of step 3." in shown


def test_long_text_is_folded(page: Client, job: Job) -> None:
    path = write(job, 1, [answer("a", 0, "long " * 1_000), answer("a", 1, "short")])
    shown = text(page, job, f"prompt={prompts(path)[0].key}")
    assert shown.count("<details") == 1
    assert "5000 characters" in shown


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("q=(&regex=on", "This is no regular expression: missing ), unterminated subpattern at"),
        ("q=(&regex=on", "at character 1."),
        ("q=" + "x" * 201, "at most 200 characters"),
        ("q=%00", "Null characters are not allowed."),
        ("low=a", "Enter a number."),
        ("low=nan", "Enter a number."),
        ("low=2&high=1", "The highest score is below the lowest."),
        ("shortest=2&longest=1", "The highest length is below the lowest."),
        ("part=acc&part_low=2&part_high=1", "The highest value of the part is below the lowest."),
        ("part_low=2", "Name the part that these bounds are of."),
        ("part=" + "x" * 201, "at most 200 characters"),
        ("of=x", "Select a valid choice."),
        ("view=x", "Select a valid choice."),
        ("step=-1", "greater than or equal to 0"),
        ("step=" + "9" * 30, "less than or equal to"),
        ("kind=x", "Select a valid choice."),
        ("only=x", "Select a valid choice."),
        ("sort=x", "Select a valid choice."),
        ("page=0", "greater than or equal to 1"),
        ("prompt=../x", "Enter a valid value."),
    ],
)
def test_bad_input_is_said_at_its_field_and_kept(
    page: Client, job: Job, query: str, said: str
) -> None:
    write(job, 1, ROWS)
    shown = text(page, job, query)
    assert said in shown
    assert "Nothing is shown until what is marked above is right." in shown
    if query == "low=a":
        assert 'value="a"' in shown


def test_a_search_that_never_ends_is_ended(
    page: Client, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    from monitoring.page import answers
    from platform_site.bounded.limits import Limits

    monkeypatch.setattr(answers, "LIMITS", Limits(seconds=0.5))
    write(job, 1, [answer("a", 0, "a" * 60)])
    shown = text(page, job, "q=(a%2B)%2B$b&regex=on")
    assert "The answers could not be searched." in shown


def test_rows_that_are_no_answers_are_said(page: Client, job: Job) -> None:
    write(job, 4, [*ROWS, answer("pad0", 0, ""), "broken", '{"input": "to'])
    told: dict[str, Any] = {"step": 4, "lost": 1, "of": 6}
    said = "Step 4: 1 of 6 answers failed. The first: ValueError: <x>"
    lifecycle.record(job, "answers_lost", message=said, source="run", **told)
    shown = text(page, job)
    assert "1 row of the file fills up the batch: verl made it up in place of answers." in shown
    assert "1 of 6 answers failed. The first: ValueError: &lt;x&gt;" in shown
    assert "2 rows cannot be read." in shown
    assert "pad0" not in shown


@pytest.mark.parametrize("odd", ["\ud800", ["\udfff"], {"\ud800": "\ud800"}, "\0", None, 1e999])
def test_any_value_of_any_key_is_shown(page: Client, job: Job, odd: Any) -> None:
    row = {"input": odd, "output": odd, "gts": odd, "score": odd, "part": odd, "\ud800": odd}
    path = write(job, 1, [row, {"input": odd}, row | {"uid": odd}])
    for one in prompts(path):
        assert "Answer 1" in text(page, job, f"prompt={one.key}")
    assert "3 answers in the step" in text(page, job)


def test_htmx_gets_the_table_alone(page: Client, job: Job) -> None:
    write(job, 1, ROWS)
    part = text(page, job, "sort=mean", **{"HX-Request": "true"})
    assert "<h1>" not in part
    assert 'aria-sort="ascending"' in part


def test_nothing_yet_nothing_at_all_and_nothing_that_matches(page: Client, job: Job) -> None:
    assert "The run wrote no answers of rollouts." in text(page, job)
    write(job, 1, [])
    assert "The file of this step holds no answers." in text(page, job)
    write(job, 1, ROWS)
    assert "No prompt of this step matches." in text(page, job, "q=nowhere")
    assert "This step has no such prompt." in text(page, job, "prompt=" + "0" * 16)
    Job.objects.update(status="draft", started_at=None)
    Path(job.run_dir, "rollouts/1.jsonl").unlink()
    assert "The job has not started yet." in text(page, job)


def test_of_a_machine_by_ssh_it_is_said_where_they_lie(page: Client, job: Job) -> None:
    machine = factories.make_ssh_machine()
    Job.objects.update(machine=machine)
    there = f"{machine.workdir}/runs/{job.uuid}/attempt-1/rollouts on {machine}"
    assert f"What the run wrote lies in {there}." in text(page, job)


def test_of_a_ray_cluster_the_copy_here_is_read(page: Client, job: Job) -> None:
    given = {"ray_address": "http://192.0.2.7:8265", "workdir": "/work"}
    Job.objects.update(machine=factories.make_machine(kind=Machine.Kind.RAY, **given))
    job = Job.objects.get(pk=job.pk)
    copy = copy_here(job.machine, job.run_dir)
    assert copy is not None
    factories.write_lines(copy / "rollouts/3.jsonl", ROWS)
    assert "3 prompts, 5 answers" in text(page, job)
    (copy / ".cut").touch()
    assert "Some answers of this run were not brought here" in text(page, job)


def test_takes_the_same_queries_for_one_row_and_three(page: Client, job: Job) -> None:
    write(job, 1, ROWS[:1])
    one = queries(page, url(job))
    write(job, 1, ROWS)
    write(job, 2, ROWS)
    assert queries(page, url(job)) == one


def test_someone_elses(page: Client, other: User) -> None:
    assert page.get(url(factories.make_job(other))).status_code == 404


def test_anonymous(job: Job) -> None:
    assert asks_for_login(f"/jobs/{job.pk}/answers/")


def test_wrong_method(page: Client, job: Job) -> None:
    assert refuses_other_methods(page, url(job), "get", "post")


def said(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    call_command("answers", *words, "--json")
    return json.loads(capsys.readouterr().out)


def test_the_command_lists_prompts(job: Job, capsys: pytest.CaptureFixture[str]) -> None:
    write(job, 4, ROWS)
    write(job, 5, ROWS)
    found = said(capsys, str(job.pk), "--step", "4", "--search", "three", "--sort=-mean")
    assert (found["step"], found["steps"], found["matching"], found["prompts"]) == (4, [4, 5], 2, 3)
    assert [row["text"] for row in found["shown"]] == ["what is a?", "what is c?"]
    assert found["shown"][0]["mean"] == 0.5
    call_command("answers", str(job.pk))
    assert "3 of 3 prompts, 5 answers" in capsys.readouterr().out


def test_the_command_shows_answers_whole(job: Job, capsys: pytest.CaptureFixture[str]) -> None:
    write(job, 4, [answer("a", 0, "x" * 500_000, 1.0), answer("a", 1, "y", "?")])
    key = said(capsys, str(job.pk))["shown"][0]["prompt"]
    found = said(capsys, str(job.pk), "--prompt", key)
    assert [len(row["text"]) for row in found["shown"]] == [500_000, 1]
    assert [row["score"] for row in found["shown"]] == [1.0, None]
    call_command("answers", str(job.pk), "--prompt", key)
    assert "--- answer 2, score ?\ny" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--step", "9"], "There are no answers of step 9. The nearest step that has any is 4."),
        (["--step", "x"], "Enter a whole number."),
        (["--search", "(", "--regex"], "This is no regular expression"),
        (["--prompt", "0" * 16], "There is no prompt 0000000000000000 in this step."),
        (["--validation"], "The run wrote no answers of validation."),
    ],
)
def test_the_command_refuses(job: Job, words: list[str], why: str) -> None:
    write(job, 4, ROWS)
    with pytest.raises(CommandError, match=why.replace(".", r"\.")):
        call_command("answers", str(job.pk), *words)


def test_a_page_of_long_answers_stays_small(page: Client, job: Job) -> None:
    long = "many <words> & signs of a model, to no end. " * 10_000
    parts = {f"part {k} {long}": long for k in range(5)} | {f"{k} {long}": k for k in range(25)}
    parts |= {f"{k:02} {'<' * 90}": k for k in range(25)}
    rows = [answer(f"a{n} {long}", n, long, n / 30, **parts) for n in range(30)]
    path = write(job, 1, rows)
    for query in ("", "of=answers", f"prompt={prompts(path)[0].key}"):
        assert len(page.get(url(job, query)).content) < 1024 * 1024


def test_a_page_of_many_steps_stays_small(page: Client, job: Job) -> None:
    for step in range(60):
        parts = {f"part {k}": (step * k) % 13 for k in range(20)}
        own = [answer("a", n, "x" * (n * step), n / 24, **parts) for n in range(24)]
        write(job, step, own)
    shown = page.get(f"/jobs/{job.pk}/answers/steps/").content
    assert b"60 steps" in shown
    assert len(shown) < 1024 * 1024
