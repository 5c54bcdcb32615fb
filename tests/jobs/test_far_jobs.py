"""A job for another machine: its data are here, its models are there."""

import pytest
from django.contrib.auth.models import User

from compute.models import Machine
from jobs.forms import JobForm
from jobs.recipebook import find_recipe
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
