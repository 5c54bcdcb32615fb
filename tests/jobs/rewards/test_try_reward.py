"""The page "Try reward" and the command `reward try`."""

import json
import re
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.test import Client

from datasets.models import Dataset, Target, Version
from jobs.places import places
from jobs.rewards.forms import split_answers
from platform_site.work.models import State
from tests import factories
from tests.pages import asks_for_login, queries, refuses_other_methods

URL = "/jobs/try-reward/"


def posted(**changes: Any) -> dict[str, Any]:
    return {
        "scorer": "file",
        "path": f"{places()['rewards']}/arithmetic.py",
        "name": "compute_score",
        "kwargs": "",
        "rows": "pasted",
        "question": "5+7=?",
        "ground_truth": "12",
        "data_source": "",
        "dataset": "",
        "data_file": "",
        "count": "8",
        "answers_from": "pasted",
        "column": "",
        "answers": "12\n---\n13\n---\nabout 12",
        **changes,
    }


def test_it_works_without_htmx(page: Client) -> None:
    response = page.post(URL, posted())
    assert response.status_code == 200
    text = response.content.decode()
    trial = response.context["trial"]
    assert [answer.score for answer in trial.scored] == [1.0, 0.1, 0.0]
    assert "acc" in text
    assert "about 12" in text
    assert (trial.compared, trial.flat) == (1, 0)


def test_get_runs_nothing_and_takes_the_file_from_the_link(page: Client) -> None:
    response = page.get(URL, {"path": "/a/<b>.py", "name": "f"})
    assert response.status_code == 200
    text = response.content.decode()
    assert 'value="/a/&lt;b&gt;.py"' in text
    assert "What came of it" not in text


def test_login_and_methods(page: Client) -> None:
    assert asks_for_login(URL)
    assert asks_for_login(URL, "post")
    assert refuses_other_methods(page, URL, "get", "post")


def test_rows_of_a_data_set(page: Client, home: Path) -> None:
    factories.write_rl_rows(home / "rl.parquet", rows=6)
    more = {"rows": "file", "data_file": str(home / "rl.parquet"), "count": "4"}
    trial = page.post(URL, posted(**more, answers_from="truth")).context["trial"]
    assert [answer.score for answer in trial.scored] == [1.0] * 4
    trial = page.post(URL, posted(**more, answers="x\n---\ny")).context["trial"]
    assert (len(trial.scored), trial.compared, trial.flat) == (8, 4, 4)
    column = posted(**more, answers_from="column", column="reward_model.ground_truth")
    assert page.post(URL, column).context["trial"].mean == 1.0


@pytest.mark.parametrize(
    ("changes", "field", "message"),
    [
        ({"path": ""}, "path", "Name the file"),
        ({"path": "/etc/passwd"}, "path", "outside the allowed folders"),
        ({"path": "reward.py"}, "path", "not a whole path"),
        ({"kwargs": "[1]"}, "kwargs", "Write a JSON object"),
        ({"kwargs": "{"}, "kwargs", "valid JSON"),
        ({"answers": ""}, None, "There is no answer to score"),
        ({"answers": "a\n---\n" * 501}, None, "500 at a time are enough"),
        ({"rows": "file"}, "data_file", "Name the parquet file"),
        ({"rows": "version"}, "dataset", "Name the data set"),
        ({"rows": "version", "dataset": "none"}, "dataset", "There is no data set none"),
        ({"rows": "file", "data_file": "/etc/passwd"}, "data_file", "outside the allowed folders"),
        ({"scorer": "builtin", "data_source": "mine"}, "data_source", "verl has no scorer for"),
    ],
)
def test_what_cannot_be_tried_is_told(
    page: Client, changes: dict[str, str], field: str | None, message: str
) -> None:
    response = page.post(URL, posted(**changes))
    assert response.status_code == 422
    form = response.context["form"]
    errors = form.errors[field] if field else form.non_field_errors()
    assert message in " ".join(errors)
    assert "Nothing was tried" in response.content.decode()


def test_a_missing_column_is_told_once(page: Client, home: Path) -> None:
    factories.write_rl_rows(home / "rl.parquet", rows=6)
    data = posted(rows="file", data_file=str(home / "rl.parquet"))
    response = page.post(URL, data | {"answers_from": "column", "column": "extra_info.none"})
    assert response.status_code == 422
    assert len(response.context["form"].errors["column"]) == 1


def test_a_function_that_cannot_be_loaded_is_shown(page: Client, home: Path) -> None:
    (home / "reward.py").write_text("import os\n\n1 / 0\n")
    text = page.post(URL, posted(path=str(home / "reward.py"))).content.decode()
    assert "The function cannot be loaded" in text
    assert "ZeroDivisionError" in text
    assert "line 3" in text


def test_failures_and_markup_are_shown_as_text(page: Client, home: Path) -> None:
    (home / "reward.py").write_text(
        "def compute_score(data_source, solution_str, ground_truth, extra_info=None):\n"
        "    print('<b>printed</b>')\n    return {'score': int(solution_str), '<i>': '<u>'}\n"
    )
    data = posted(path=str(home / "reward.py"), answers="<script>\n---\n3")
    text = page.post(URL, data).content.decode()
    assert "ValueError" in text
    assert "&lt;b&gt;printed" in text
    assert "&lt;script&gt;" in text
    assert not any(tag in text for tag in ("<b>printed", "<script>\n", "<u>"))


def test_versions_are_offered_and_queries_do_not_grow(page: Client) -> None:
    dataset = Dataset.objects.create(name="sums")
    offer(dataset, 1, "/data/one.parquet")
    before = queries(page, URL)
    offer(dataset, 2, "/data/two.parquet")
    offer(dataset, 3, "/data/sft.parquet", target=Target.SFT)
    offer(dataset, 4, "/data/half.parquet", state=State.WORKING)
    assert queries(page, URL) == before
    text = page.get(URL).content.decode()
    assert "/data/two.parquet" in text
    assert "/data/sft.parquet" not in text
    assert "/data/half.parquet" not in text


def offer(dataset: Dataset, number: int, file: str, **fields: Any) -> None:
    given: dict[str, Any] = {"target": Target.RL, "state": State.DONE, "val_file": file}
    Version.objects.create(dataset=dataset, number=number, **given | fields)


def test_rows_of_a_version(page: Client, home: Path) -> None:
    dataset = Dataset.objects.create(name="sums")
    for number, rows in ((1, 3), (2, 6)):
        train = factories.write_rl_rows(home / f"{number}.parquet", rows=rows)
        offer(dataset, number, "/nowhere", train_file=str(train))
    offer(dataset, 3, "/nowhere", target=Target.SFT, train_file="/nowhere")
    more = {"rows": "version", "answers_from": "truth", "count": "100"}
    trial = page.post(URL, posted(**more, dataset="sums@1")).context["trial"]
    assert [answer.score for answer in trial.scored] == [1.0] * 3
    path = f"{places()['rewards']}/arithmetic.py"
    argv = [path, "--dataset", "sums@2", "--rows", "100", "--truth-as-answer", "--json"]
    assert len(json.loads(reward(*argv))["answers"]) == 6
    with pytest.raises(CommandError, match="dataset: sums@3 holds"):
        reward(path, "--dataset", "sums@3", "--truth-as-answer")


def test_each_thing_is_labelled_once(page: Client) -> None:
    text = page.get(URL).content.decode()
    titles = re.findall(r"<(?:label|h2)[^>]*>([^<]+)</", text)
    assert len(titles) > 15
    assert sorted(titles) == sorted(set(titles))


def test_a_field_belongs_to_the_choice_that_needs_it(page: Client) -> None:
    """The style sheet shows it with its choice; each rule names a class that the page has."""
    text = page.get(URL).content.decode()
    rules = (settings.BASE_DIR / "static/css/reward.css").read_text()
    found = dict(re.findall(r'class="field[^"]*(for-[a-z-]+)[^"]*"\s+data-field="(\w+)"', text))
    assert set(found) == set(re.findall(r"\.(for-[a-z-]+)", rules))
    for name, value in re.findall(r'\[name="(\w+)"\] > \[value="(\w+)"\]', rules):
        assert re.search(rf'<select name="{name}".*?<option value="{value}"', text, re.DOTALL)


def test_answers_are_split_at_lines_of_dashes() -> None:
    assert split_answers("") == []
    assert split_answers("a\r\n---\r\nb\r\nc\n-----\n") == ["a", "b\nc", ""]
    assert split_answers("x --- y\n--") == ["x --- y\n--"]


def reward(*argv: str) -> str:
    out = StringIO()
    call_command("reward", "try", *argv, stdout=out)
    return out.getvalue()


def test_command(db: None) -> None:
    path = f"{places()['rewards']}/arithmetic.py"
    argv = [path, "--truth", "12", "--answer", "12", "--answer", "twelve"]
    document = json.loads(reward(*argv, "--json"))
    assert [answer["score"] for answer in document["answers"]] == [1.0, 0.0]
    assert document["answers"][0]["parts"] == {"acc": 1.0, "number": 1.0}
    assert document["prompts_with_several_answers"] == 1
    text = reward(*argv)
    assert '1  "12"  acc=1.0 number=1.0' in text
    assert "0 of 1 prompts with several answers give them one score" in text


def test_command_tells_what_is_wrong(db: None, home: Path) -> None:
    with pytest.raises(CommandError, match="path: Name the file"):
        reward("--answer", "1")
    (home / "reward.py").write_text("1 / 0\n")
    assert "ZeroDivisionError" in reward(str(home / "reward.py"), "--answer", "1")
