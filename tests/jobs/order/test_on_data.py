"""From a version of a data set to the form of a job, which is filled with it."""

import io
import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client

from jobs.verl.recipes import all_recipes
from tests import factories


def offered_by(response: Any) -> set[str]:
    groups = [group for part in response.context["sections"] for _, group in part.groups]
    return {offer.recipe.slug for group in groups for offer in group}


@pytest.mark.parametrize("target", ["sft", "rl", "dpo"])
def test_the_recipes_that_fit_the_data_are_offered(page: Client, target: str) -> None:
    version = factories.make_version(target=target)
    response = page.get("/jobs/new/", {"dataset": version.pk})
    offered = offered_by(response)
    assert offered == {slug for slug, one in all_recipes().items() if one.target == target}
    content = response.content.decode()
    assert version.label in content
    for slug in offered:
        assert f'href="/jobs/new/{slug}/?dataset={version.pk}"' in content


def test_the_form_is_filled_with_the_data(page: Client, user: User) -> None:
    version = factories.make_version(target="sft")
    form = page.get("/jobs/new/sample-sft/", {"dataset": version.pk}).context["form"]
    assert form["dataset"].value() == version.pk
    assert form["train_files"].value() == version.train_file
    assert form["val_files"].value() == version.val_file


@pytest.mark.parametrize("asked", ["", "x", "0", "99999999", "9" * 40, "\u0663", "\0"])
def test_data_that_is_not_there_is_left_out(page: Client, asked: str) -> None:
    response = page.get("/jobs/new/", {"dataset": asked})
    assert offered_by(response) == set(all_recipes())
    assert page.get("/jobs/new/sample-sft/", {"dataset": asked}).status_code == 200


def test_data_of_another_target_does_not_fill_the_form(page: Client) -> None:
    version = factories.make_version(target="dpo")
    form = page.get("/jobs/new/sample-sft/", {"dataset": version.pk}).context["form"]
    assert form["train_files"].value() != version.train_file


@pytest.mark.django_db
def test_the_command_lists_the_recipes_that_fit(staff: User) -> None:
    version = factories.make_version(target="dpo")
    out = io.StringIO()
    call_command("recipes", "--dataset", version.label, "--json", stdout=out)
    assert {row["kind"] for row in json.loads(out.getvalue())} == {"dpo"}
    with pytest.raises(CommandError, match="no data set none"):
        call_command("recipes", "--dataset", "none")
