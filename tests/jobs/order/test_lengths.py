"""Rows that are too long are refused, or told with their number, before anything starts."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client

from datasets.formats.refused import Measured
from datasets.models import Dataset, Report, Version
from jobs.models import Job
from jobs.order.preflight import Preflight
from jobs.places import places
from jobs.verl.recipes import all_recipes
from jobs.verl.spec import Problem, TrainSpec
from tests import tokenizers

# With the tests' tokenizer each prompt has 24 tokens, each conversation and each pair 27.
pytestmark = pytest.mark.usefixtures("tokenized", "queue")


@pytest.fixture
def tokenized(samples: Path) -> Path:
    for name in ("model", "model-warm"):
        tokenizers.save(samples / name, tokenizers.CHATML)
    return samples


def spec(slug: str, *overrides: str, **values: object) -> TrainSpec:
    recipe = all_recipes()[slug].spec(places())
    return TrainSpec(recipe.kind, {**recipe.values, **values}, overrides)  # type: ignore[dict-item]


def said(asked: TrainSpec) -> list[str]:
    return [f"{told.field}: {told.message}" for told in Preflight(asked).rendered]


def test_prompts_that_are_too_long_are_refused_with_their_number() -> None:
    training, validation = Preflight(spec("sample-grpo", max_prompt_length=2)).rendered
    assert isinstance(training, Problem)
    assert (training.field, training.message) == (
        "max_prompt_length",
        "2048 of 2048 prompts of the training data have more than 2 tokens; the longest has 24. "
        "Raise it, or drop long prompts.",
    )
    assert "of the validation data" in validation.message
    assert said(spec("sample-grpo", max_prompt_length=24)) == []


def test_none_may_be_left() -> None:
    [first, _] = said(spec("sample-grpo", max_prompt_length=2, filter_overlong=True))
    assert first.startswith("max_prompt_length: 2048 of 2048")
    assert first.endswith("none would be left. Raise it.")


@pytest.mark.parametrize("slug", ["sample-sft", "sample-dpo"])
def test_rows_that_would_be_cut_are_told_and_refused_where_nothing_may_be_cut(slug: str) -> None:
    [first, *_] = said(spec(slug, max_length=26))
    assert first.startswith("max_length: ")
    assert "have more than 26 tokens; the longest has 27. Raise it, or have longer" in first
    [first, *_] = said(spec(slug, max_length=26, truncation="right"))
    assert first.startswith("truncation: ")
    assert first.endswith("the longest has 27: they are cut.")


def test_where_only_some_rows_are_read_nobody_knows_here_which() -> None:
    assert said(spec("sample-sft", "data.train_max_samples=9", max_length=26)) == []


@pytest.fixture
def checked() -> Report:
    """A version of the sample's own files, that was checked by the tokenizer of its model."""
    values = spec("sample-grpo").values
    files = {"train_file": values["train_files"], "val_file": values["val_files"]}
    version, _ = Version.objects.get_or_create(
        **files,
        defaults={"dataset": Dataset.objects.create(name="sums"), "number": 1, "target": "rl"},
    )
    Version.objects.filter(pk=version.pk).update(state="done")
    lengths = {"counted": 10, "max": 40, "over": 3}
    return Report.objects.create(
        version=version, state="done", model=str(values["model_path"]), max_length=32,
        data={"lengths": lengths},
    )  # fmt: skip


def known(**values: Any) -> list[str]:
    return [
        f"{told.field}: {told.message}" for told in Preflight(spec("sample-grpo", **values)).known
    ]


def test_a_check_of_the_data_knows_it_while_the_form_is_filled(checked: Report) -> None:
    label = checked.version.label
    assert known(max_prompt_length=32) == [
        f"max_prompt_length: 3 of 10 prompts of {label} have more than 32 tokens; the longest has "
        "40. Raise it, or drop long prompts."
    ]
    assert known(max_prompt_length=40) == []
    [other] = known(max_prompt_length=33)
    assert other.startswith(f"max_prompt_length: Some of 10 prompts of {label} have more than 33")
    [told] = known(max_prompt_length=32, filter_overlong=True)
    assert told.startswith("filter_overlong: 3 of 10")


def test_a_check_by_another_tokenizer_says_nothing(checked: Report) -> None:
    Report.objects.update(model="/another")
    assert known(max_prompt_length=32) == []


def test_the_command_refuses_and_tells(staff: User) -> None:
    with pytest.raises(CommandError, match="2048 of 2048 prompts of the training data"):
        call_command("submit", "sample-grpo", "--set", "max_prompt_length=2")
    assert not Job.objects.exists()
    out, err = io.StringIO(), io.StringIO()
    sets = ["--set", "max_length=26", "--set", "truncation=right"]
    call_command("submit", "sample-sft", *sets, "--json", stdout=out, stderr=err)
    [training, validation] = json.loads(out.getvalue())["warnings"]
    assert training["field"] == "truncation"
    assert training["message"] in err.getvalue()
    assert "validation data" in validation["message"]


def test_who_submits_by_the_form_is_told_on_the_jobs_page(
    page: Client, sft_data: dict[str, str]
) -> None:
    data = {**sft_data, "max_length": "26", "truncation": "right", "action": "draft"}
    content = page.post("/jobs/new/sample-sft/", data, follow=True).content.decode()
    assert "Rows that are too long: " in content
    assert "have more than 26 tokens; the longest has 27: they are cut." in content
    response = page.post("/jobs/new/sample-sft/", {**data, "truncation": "error"})
    assert response.status_code == 422
    assert "Raise it, or have longer rows cut." in response.content.decode()


def test_of_more_rows_than_were_measured_some_may_be_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Measured, "is_part", True)
    asked = spec("sample-grpo", max_prompt_length=2, filter_overlong=True)
    assert all("are left out" in told for told in said(asked))
