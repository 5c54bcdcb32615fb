"""A job for another machine: its data are here, its models are there."""

from pathlib import Path

import pytest
from django.contrib.auth.models import User

from compute.models import Machine
from jobs.order.forms import JobForm
from jobs.order.preview import Preview
from jobs.recipebook.book import find_recipe
from jobs.verl.recipes import Recipe
from tests import factories


@pytest.fixture
def machine() -> Machine:
    return factories.make_ssh_machine(python="/venv/bin/python")


def form(data: dict[str, str], user: User, **values: object) -> JobForm:
    recipe = find_recipe("sample-sft", user)
    assert isinstance(recipe, Recipe)
    return JobForm(recipe, user, data | {name: str(value) for name, value in values.items()})


@pytest.mark.parametrize("model", ["/models/qwen", "/models/my model", "Qwen/Qwen2.5-0.5B"])
def test_a_model_is_not_looked_for_here(
    sft_data: dict[str, str], user: User, machine: Machine, model: str
) -> None:
    filled = form(sft_data, user, machine=machine.pk, model_path=model)
    assert filled.is_valid(), filled.errors
    assert filled.order().machine == machine


@pytest.mark.parametrize("model", ["~/models/qwen", "models/qwen/x", "/models/../../etc", "a b/c"])
def test_a_model_must_be_a_whole_path_or_a_hub_name(
    sft_data: dict[str, str], user: User, machine: Machine, model: str
) -> None:
    filled = form(sft_data, user, machine=machine.pk, model_path=model)
    assert list(filled.errors) == ["model_path"]
    assert "is neither a whole path on that machine" in str(filled.errors["model_path"])


def test_data_must_be_here(sft_data: dict[str, str], user: User, machine: Machine) -> None:
    filled = form(sft_data, user, machine=machine.pk, model_path="/m", train_files="/none.parquet")
    assert list(filled.errors) == ["train_files"]


def test_here_the_model_must_be_here(sft_data: dict[str, str], user: User) -> None:
    filled = form(sft_data, user, model_path="/models/qwen")
    assert list(filled.errors) == ["model_path"]


def test_what_would_be_sent_is_said_before(
    sft_data: dict[str, str], user: User, machine: Machine, home: Path
) -> None:
    model = factories.make_model_folder(home / "big")
    weights = factories.safetensors({}, b"x" * 3_000_000)
    (model / "model.safetensors").write_bytes(weights)
    said = " ".join(Preview(form(sft_data, user, machine=machine.pk, model_path=model)).notes)
    assert f"Where {machine} has no {model}, this one is sent before the start: 2.9 MiB" in said
    assert "in 3 files" in said
    said = " ".join(Preview(form(sft_data, user, machine=machine.pk, model_path="/m")).notes)
    assert f"/m is looked for on {machine} only: there is no such model here to send." in said
    said = " ".join(Preview(form(sft_data, user, machine=machine.pk, model_path="a/b")).notes)
    assert "sent" not in said
    said = " ".join(Preview(form(sft_data, user)).notes)
    assert "sent" not in said


def test_the_model_of_a_job_elsewhere_is_copied(
    sft_data: dict[str, str], user: User, machine: Machine
) -> None:
    spec = factories.sft_spec(save_contents="model,hf_model")
    before = factories.make_job(user, spec=spec.to_json(), status="running")
    filled = form(sft_data, user, machine=machine.pk, after=before.pk, after_checkpoint="on")
    assert f"Its model is then copied from {before.machine} to {machine}." in Preview(filled).notes
