"""All steps of a run's answers, and what is made of them: data sets, another reward."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pyarrow.parquet as pq
import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client

from datasets.models import Dataset, Source
from datasets.services import DatasetError
from jobs.models import Job
from jobs.places import mirror_folder
from jobs.rewards.forms import RewardForm
from monitoring.answers.over_steps import spread_of
from monitoring.page import answers
from tests import factories
from tests.monitoring.answers.test_columns import COUNTED
from tests.monitoring.answers.test_prompts import ROWS, answer
from tests.monitoring.page.test_answers import SCRIPT, job, prompts, said, text, url, write
from tests.pages import asks_for_login, refuses_other_methods

__all__ = ["job"]


def steps(page: Client, job: Job, query: str = "", **headers: str) -> str:
    response = page.get(f"/jobs/{job.pk}/answers/steps/?{query}", headers=headers)
    assert response.status_code == 200
    return " ".join(response.content.decode().split())


def take(page: Client, job: Job, query: str = "", **given: str) -> Any:
    return page.post(url(job, query), given)


def test_scores_and_lengths_over_the_steps(page: Client, job: Job) -> None:
    write(job, 1, COUNTED)
    write(job, 7, [answer("b", 0, "x", 1.0, **{SCRIPT: 1.0})])
    shown = steps(page, job)
    assert "2 steps" in shown
    assert f'href="/jobs/{job.pk}/answers/?step=7"' in shown
    assert "<title>Step 1: 2 from 0.5 to 0.5833</title>" in shown
    assert SCRIPT not in shown
    part = steps(page, job, **{"HX-Request": "true"})
    assert "<svg" in part
    assert "<table" not in part
    assert f'hx-get="/jobs/{job.pk}/answers/steps/?kind=rollouts' in text(page, job)


def test_steps_that_are_not_counted_yet_are_said(
    page: Client, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        answers, "spread_of", lambda places, part: spread_of(places, part, patience=-1)
    )
    monkeypatch.setattr(answers, "call", lambda limits, needs, function, *given: function(*given))
    for step in (1, 2):
        write(job, step, ROWS)
    assert "1 of 2 steps counted" in steps(page, job)
    assert "2 steps" in steps(page, job)


def test_a_part_of_the_reward_over_the_steps(page: Client, job: Job) -> None:
    write(job, 1, [answer("a", 0, "x", 0.0, **{f"part{n}": n for n in range(5)})])
    shown = steps(page, job)
    assert "How part1 is spread" in shown
    assert "How part4 is spread" not in shown
    assert 'href="/jobs/1/answers/steps/?part=part4"'.replace("/1/", f"/{job.pk}/") in shown
    assert "How part4 is spread" in steps(page, job, "part=part4")


def test_one_prompt_over_the_steps(page: Client, job: Job) -> None:
    for step in (1, 2, 3, 4):
        path = write(job, step, ROWS if step != 3 else ROWS[2:])
    key = prompts(path)[0].key
    assert "Over all steps" in text(page, job, f"step=4&prompt={key}")
    shown = steps(page, job, f"step=4&prompt={key}")
    for step in (1, 2, 4):
        assert f"answers/?step={step}&amp;prompt={key}" in shown
    assert "step=3&amp;prompt" not in shown
    assert "This step has no such prompt." in steps(page, job, f"prompt={'0' * 16}")


def test_steps_of_a_run_without_answers_and_odd_addresses(page: Client, job: Job) -> None:
    assert "The run wrote no answers of rollouts." in steps(page, job)
    write(job, 1, ["broken"])
    for query in ("", "kind=x", "page=999", "prompt=x", "step=5"):
        steps(page, job, query)


def test_the_advantage_is_checked_against_the_logged_mean(page: Client, job: Job) -> None:
    write(job, 1, COUNTED)
    shown = text(page, job)
    assert "computed again as <code>grpo</code> does it · verl's mean of the step" in shown
    mean = said_mean(job)
    factories.add_points(job, "critic/advantages/mean", {1: mean})
    assert "· their mean is verl's" in text(page, job)
    factories.add_points(job, "critic/advantages/mean", {1: mean + 0.25})
    assert "their mean differs from verl's by 0.25" in text(page, job)
    write(job, 1, ROWS)
    assert "verl weighs an answer by its tokens, which is not possible here." in text(page, job)


def said_mean(job: Job) -> float:
    from monitoring.answers.advantage import Method, advantages, mean_of
    from monitoring.answers.kept import step_of

    step = step_of(Path(job.run_dir, "rollouts/1.jsonl"))
    values = advantages(step, Method("grpo")).values
    assert values is not None
    found = mean_of(values, step)
    assert found is not None
    return found


def test_answers_one_by_one(page: Client, job: Job) -> None:
    write(job, 1, COUNTED)
    shown = text(page, job, "of=answers&sort=-advantage")
    assert 'aria-sort="descending"' in shown
    assert shown.index(">word word </a>") < shown.index("word word word word word")
    assert "1 empty" in shown
    assert "No answer of this step matches." in text(page, job, "of=answers&low=7")


def test_a_conversation_and_the_text_as_it_is(page: Client, job: Job) -> None:
    path = write(job, 1, [answer("a", 0, "<think>so</think>It is <b>7</b>")])
    key = prompts(path)[0].key
    shown = text(page, job, f"prompt={key}")
    assert "Thinking" in shown
    assert "It is &lt;b&gt;7&lt;/b&gt;" in shown
    assert "&lt;think&gt;so&lt;/think&gt;It is" in text(page, job, f"prompt={key}&view=raw")


def test_a_data_set_is_made_of_what_is_shown(page: Client, job: Job, user: User) -> None:
    write(job, 1, [answer("pad", 0, ""), *ROWS])
    response = take(page, job, "of=answers&only=wrong", do="data", name="failures")
    dataset = Dataset.objects.get(name="failures")
    assert response.url == dataset.get_absolute_url()
    assert (dataset.owner, "4 answers of job" in dataset.description) == (user, True)
    source = Source.objects.get(dataset=dataset)
    rows = [json.loads(line) for line in Path(source.path).read_text().splitlines()]
    assert [row["response"] for row in rows] == ["three", "x", "xyz", "THREE <b>"]
    first = rows[0]
    assert first["prompt"] == [{"role": "user", "content": "what is a?"}]
    assert first["reward_model"] == {"style": "rule", "ground_truth": "1"}
    assert (first["step"], first["extra_info"]["score"], first["extra_info"]["acc"]) == (1, 0, 0)
    assert not [*(Path(source.path).parents[2]).glob("uploads/answers-*")]


def test_a_data_set_that_cannot_be_imported_is_not_left_empty(
    page: Client, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*given: Any) -> None:
        raise DatasetError("The upload could not be kept: No space left on device.")

    monkeypatch.setattr("datasets.services.import_upload", full)
    write(job, 1, ROWS)
    response = take(page, job, do="data", name="new")
    assert (response.status_code, Dataset.objects.count()) == (422, 0)
    assert "No space left on device." in response.content.decode()


def test_another_reward_is_tried_on_what_is_shown(page: Client, job: Job) -> None:
    write(job, 1, ROWS)
    address = take(page, job, "low=0.3", do="reward").url
    given = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
    rows = pq.read_table(given["data_file"]).to_pylist()
    assert [row["response"] for row in rows] == [["two", "three"], ["x", "xyz"]]
    filled = page.get(address).content.decode()
    assert f'value="{given["data_file"]}"' in filled
    path = mirror_folder(job.uuid) / "reward.py"
    path.write_text("def compute_score(**kwargs): return 1.0")
    form = RewardForm({**given, "scorer": "file", "path": path, "name": "compute_score"})
    assert form.is_valid(), form.errors
    assert [case.answer for case in form.cases] == ["two", "three", "x", "xyz"]


@pytest.mark.parametrize(
    ("query", "given", "said"),
    [
        ("", {"do": "data", "name": ""}, "Name the data set."),
        ("", {"do": "data", "name": "a@b"}, "A name has no @"),
        ("", {"do": "data", "name": "x" * 101}, "at most 100 characters"),
        ("", {"do": "data", "name": "taken"}, "There is a data set taken already"),
        ("low=9", {"do": "data", "name": "new"}, "There is no answer to take: nothing matches."),
        ("low=9", {"do": "reward"}, "There is no answer to try a reward on: nothing matches."),
        ("low=a", {"do": "reward"}, "Enter a number."),
        ("", {"do": "x"}, "Select a valid choice."),
    ],
)
def test_what_cannot_be_taken_is_said(
    page: Client, job: Job, query: str, given: dict[str, str], said: str
) -> None:
    Dataset.objects.create(name="taken")
    write(job, 1, ROWS)
    response = take(page, job, query, **given)
    assert response.status_code == 422
    assert said in response.content.decode()
    assert Dataset.objects.count() == 1


def test_someone_elses_anonymous_and_other_methods(page: Client, job: Job, other: User) -> None:
    theirs = factories.make_job(other).pk
    assert page.get(f"/jobs/{theirs}/answers/steps/").status_code == 404
    assert page.post(f"/jobs/{theirs}/answers/").status_code == 404
    assert asks_for_login(f"/jobs/{job.pk}/answers/steps/")
    assert refuses_other_methods(page, f"/jobs/{job.pk}/answers/steps/", "get")


def test_the_command_does_it_too(job: Job, capsys: pytest.CaptureFixture[str]) -> None:
    write(job, 1, COUNTED)
    write(job, 2, COUNTED)
    found = said(capsys, str(job.pk), "--each", "--only", "cut", "--sort=-advantage")
    assert (found["unit"], found["matching"], found["cut"]) == ("tokens", 1, 1)
    assert found["advantage"]["estimator"] == "grpo"
    over = said(capsys, str(job.pk), "--over-steps")
    assert [(row["step"], row["mean"]) for row in over["steps"]] == [(1, 0.5), (2, 0.5)]
    key = said(capsys, str(job.pk))["shown"][0]["prompt"]
    one = said(capsys, str(job.pk), "--prompt", key, "--over-steps")
    assert [row["step"] for row in one["steps"]] == [1, 2]
    one = said(capsys, str(job.pk), "--prompt", key)
    assert [(row["tokens"], row["cut"]) for row in one["shown"]] == [(2, False), (8, True)]
    made = said(capsys, str(job.pk), "--low", "0.5", "--data-set", "kept")
    assert Source.objects.get(pk=made["source"]).dataset.name == "kept"
    with pytest.raises(CommandError, match="There is a data set kept already"):
        call_command("answers", str(job.pk), "--data-set", "kept")
    for words in ((), ("--each",), ("--over-steps",)):
        call_command("answers", str(job.pk), *words)
    assert "2 of 2 steps are counted" in capsys.readouterr().out


def test_the_owners_secrets_are_not_shown(
    page: Client, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.trackers.accounts.secret_values", lambda job: ["hunter22"])
    path = write(job, 1, [answer("a", 0, "my key is hunter22")])
    for query in ("", "of=answers", f"prompt={prompts(path)[0].key}", "q=hunter2"):
        shown = text(page, job, query).replace('value="hunter2"', "").replace("q=hunter2", "")
        assert "hunter2" not in shown
    assert "my key is ********" in text(page, job, "of=answers")


def test_the_page_needs_the_same_queries_for_more_steps(page: Client, job: Job) -> None:
    from tests.pages import queries

    write(job, 1, ROWS)
    write(job, 2, ROWS)
    address = f"/jobs/{job.pk}/answers/steps/"
    few = queries(page, address)
    for step in range(3, 9):
        write(job, step, ROWS)
    assert queries(page, address) == few
    assert queries(page, url(job)) > 0
