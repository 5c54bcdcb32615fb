import html
import json
import re
from pathlib import Path
from typing import Any

import pytest
from django.http import HttpResponseBase
from django.test import Client

from jobs.kinds import train
from jobs.models import Job
from jobs.process import Command
from jobs.verl import command, lint
from tests import factories, taskqueue
from tests.pages import HTMX, asks_for_login, command_in, refuses_other_methods

URL = "/jobs/new/sample-sft/preview/"
GRPO = "/jobs/new/sample-grpo/preview/"

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


def marked(response: HttpResponseBase) -> list[str]:
    """The lines of the command that are marked as wrong, each with its reason."""
    content: bytes = getattr(response, "content", b"")
    found = re.findall(
        r'<mark class="wrong">(.*?)</mark> <span class="why">(.*?)</span>', content.decode()
    )
    return [html.unescape(f"{line.strip()} {why}") for line, why in found]


@pytest.mark.parametrize(
    ("field", "value", "line"),
    [
        ("lr", "abc", "optim.lr=abc # Write a number, such as "),
        ("micro_batch_size", "24", "data.micro_batch_size_per_gpu=24 \\ # 64 does not"),
        ("model_path", "/nowhere", "model.path=/nowhere \\ # "),
        ("overrides", "optim.lrr=1", "optim.lrr=1 # "),
        ("train_files", "a b", "'data.train_files='\"'\"'a b'\"'\"'' \\ # a b is not a whole path"),
    ],
)
def test_a_form_with_errors_shows_its_command_with_what_is_wrong_marked(
    page: Client, sft_data: dict[str, str], field: str, value: str, line: str
) -> None:
    response = page.post(URL, {**sft_data, field: value})
    assert response.status_code == 200
    [wrong] = marked(response)
    assert wrong.startswith(line)
    assert f'id="error-{field}"' in response.content.decode()
    assert "trainer.total_epochs=2" in command_in(response), "the rest of it stands there"
    assert b"data-copy" not in response.content


def test_one_command_with_errors_of_many_fields(page: Client, sft_data: dict[str, str]) -> None:
    wrong = {"lr": "", "gpus": "many", "epochs": "0", "machine": "999", "name": "", "uuid": "x"}
    response = page.post(URL, {**sft_data, **wrong})
    assert '<mark class="needed">  optim.lr= ' in response.content.decode()
    assert [line.partition(" ")[0] for line in marked(response)] == [
        "trainer.total_epochs=0",
        "trainer.n_gpus_per_node=many",
    ]


def test_an_empty_field_is_still_to_fill_in_and_no_error_before_it_is_sent(
    page: Client, sft_data: dict[str, str]
) -> None:
    content = page.post(URL, {**sft_data, "lr": ""}).content.decode()
    assert "Still to fill in" in content
    assert "This field is required" not in content.partition("<pre")[0]
    sent = page.post("/jobs/new/sample-sft/", {**sft_data, "lr": ""}).content.decode()
    assert "This field is required" in sent


def test_the_command_is_built_once(
    page: Client, grpo_data: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[object] = []
    build = command.build_command

    def counted(*asked: Any) -> Command:
        built.append(asked)
        return build(*asked)

    monkeypatch.setattr(train, "build_command", counted)
    monkeypatch.setattr(lint, "build_command", counted)
    assert page.post(GRPO, grpo_data).status_code == 200
    assert len(built) == 1


def unset_in(response: HttpResponseBase) -> dict[str, str]:
    content: bytes = getattr(response, "content", b"")
    found = re.search(r'data-unset="(.*?)"', content.decode())
    assert found
    words: dict[str, str] = json.loads(html.unescape(found[1]))
    return words


def test_an_empty_field_shows_the_value_that_it_stands_for(page: Client, samples: Path) -> None:
    content = page.get("/jobs/new/sample-grpo/").content.decode()
    ratio = content[content.index('data-field="clip_ratio"') :]
    assert 'placeholder="verl: 0.2"' in ratio.partition('id="help-clip_ratio"')[0]
    assert '<option value="" selected>verl: ' in content
    assert "verl&#x27;s default<" not in content


def test_that_value_follows_the_method(page: Client, grpo_data: dict[str, str]) -> None:
    words = unset_in(page.post(GRPO, grpo_data))
    assert (words["clip_ratio_high"], words["lora_rank"]) == ("verl: 0.2", "verl: 0")
    words = unset_in(page.post(GRPO, {**grpo_data, "variant": "dapo"}))
    assert words["clip_ratio_high"] == "DAPO: 0.28"
    assert "variant" not in words


@pytest.mark.parametrize("named", ["name", "pk"])
def test_a_data_set_fills_its_files_at_once(
    page: Client, sft_data: dict[str, str], samples: Path, named: str
) -> None:
    version = factories.make_version(
        samples / "sft/train.parquet", val_file=str(samples / "sft/val.parquet")
    )
    data = {
        **sft_data,
        "dataset": str(version.pk) if named == "pk" else f"{version.dataset.name}@1",
    }
    content = page.post(URL, {**data, "fill": "1"}).content.decode()
    for field, file in (("train_files", version.train_file), ("val_files", version.val_file)):
        part = content[content.index(f"outerHTML:[data-field={field}]") :]
        assert f'value="{file}"' in part.partition("</div>\n  </div>")[0]
    assert "outerHTML:[data-field" not in page.post(URL, data).content.decode()


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
