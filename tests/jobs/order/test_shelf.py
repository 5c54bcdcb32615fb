"""Which recipes are offered, in which order, and how the list is filtered."""

import io
import json
import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client

from compute.models import Machine
from jobs.models import SavedRecipe
from jobs.order import shelf
from jobs.recipebook import book
from jobs.verl.recipes import all_recipes
from tests import factories
from tests.pages import HTMX, queries

URL = "/jobs/new/"
SAMPLES = ["sample-sft", "sample-dpo", "sample-ppo", "sample-grpo", "sample-gspo"]


@pytest.fixture
def without_gpu(machine: Machine) -> Machine:
    machine.gpus = 0
    machine.save()
    return machine


@pytest.fixture
def own(user: User) -> SavedRecipe:
    spec = {"values": {**all_recipes()["sft"].values}}
    return book.save_recipe(user, factories.make_job(user, recipe="sft", spec=spec), "Mine")


def shown(page: Client, query: str = "") -> list[str]:
    content = page.get(f"{URL}{query}").content.decode()
    return re.findall(r'<article class="panel recipe" id="([^"]+)"', content)


def test_on_a_machine_without_a_gpu_the_samples_stand_first(
    page: Client, without_gpu: Machine
) -> None:
    names = shown(page)
    assert names[:5] == SAMPLES
    assert sorted(names) == sorted(all_recipes())
    content = page.get(URL).content.decode()
    assert "It needs 8 GPUs, and this machine has no GPU: it can never start here." in content
    assert content.count("Can run on this machine.") == 5


def test_each_kind_stands_together_by_the_size_of_the_model(
    page: Client, without_gpu: Machine
) -> None:
    assert shown(page)[5:] == [
        "sft", "sft-lora", "sft-large", "dpo", "dpo-lora", "ppo",
        "grpo", "dapo", "grpo-lora", "grpo-7b", "dapo-32b", "gspo-moe",
    ]  # fmt: skip


def test_another_machine_that_has_the_gpus_counts(page: Client, without_gpu: Machine) -> None:
    factories.make_machine(name="box", gpus=1)
    content = page.get(URL).content.decode()
    assert shown(page, "?here=1") == [
        "sample-sft", "sft", "sft-lora", "sample-dpo", "dpo", "dpo-lora", "sample-ppo", "ppo",
        "sample-grpo", "grpo", "grpo-lora", "sample-gspo",
    ]  # fmt: skip
    assert "Can run on box." in content


def test_what_nobody_knows_is_no_yes(page: Client, machine: Machine) -> None:
    content = page.get(URL).content.decode()
    assert "Whether it can run is not known" in content
    assert shown(page, "?here=1") == SAMPLES


def test_ones_own_stand_on_top_with_whether_they_can_run(
    page: Client, without_gpu: Machine, own: SavedRecipe
) -> None:
    assert shown(page)[0] == own.slug
    assert shown(page, "?whose=own") == [own.slug]
    assert own.slug not in shown(page, "?whose=trainyard")
    assert shown(page, "?here=1") == SAMPLES


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("?kind=dpo", ["sample-dpo", "dpo", "dpo-lora"]),
        ("?size=tiny", SAMPLES),
        ("?size=large&kind=sft", ["sft-lora", "sft-large"]),
        ("?q=Math", ["grpo", "grpo-7b"]),
        ("?q=adapter+sft", ["sft-lora"]),
        ("?q=nothing+like+it", []),
        ("?kind=dpo&q=adapter&here=1", []),
    ],
)
def test_filters(page: Client, without_gpu: Machine, query: str, names: list[str]) -> None:
    assert shown(page, query) == names


def test_a_filter_that_is_unknown_filters_nothing(page: Client, without_gpu: Machine) -> None:
    assert len(shown(page, "?kind=x&size=x&whose=x&q=%00")) == len(all_recipes())


def test_under_htmx_it_is_the_list_alone(page: Client, without_gpu: Machine) -> None:
    content = page.get(f"{URL}?kind=dpo", headers=HTMX).content.decode()
    assert 'id="shelf"' in content
    assert "<html" not in content
    assert "No recipe fits" in page.get(f"{URL}?q=zzz", headers=HTMX).content.decode()


def test_more_recipes_ask_no_more_of_the_database(
    page: Client, user: User, without_gpu: Machine, own: SavedRecipe
) -> None:
    before = queries(page, URL)
    for _ in range(3):
        assert own.job
        book.save_recipe(user, own.job, "Mine")
    assert queries(page, URL) == before


@pytest.mark.parametrize(
    ("sizes", "span"),
    [
        ("1 M parameters", (0.001, 0.001)),
        ("0.5 B to 8 B", (0.5, 8)),
        ("A3B to A22B mixtures; dense 1.5 B to 14 B", (1.5, 14)),
        ("", None),
    ],
)
def test_sizes_are_read(sizes: str, span: tuple[float, float] | None) -> None:
    assert shelf.billions(sizes) == span


def test_every_recipe_has_a_size_to_find_it_by() -> None:
    assert [r.slug for r in all_recipes().values() if shelf.billions(r.sizes) is None] == []


def listed(*argv: str) -> Any:
    out = io.StringIO()
    call_command("recipes", *argv, "--json", stdout=out)
    return json.loads(out.getvalue())


def test_the_command_has_the_same_order_and_filters(
    page: Client, staff: User, without_gpu: Machine
) -> None:
    page.force_login(staff)
    assert [row["name"] for row in listed()] == shown(page)
    argv = ["--kind", "sft", "--size", "large", "--find", "adapter"]
    assert [row["name"] for row in listed(*argv)] == ["sft-lora"]
    assert [row["name"] for row in listed("--here")] == SAMPLES
    assert [row["name"] for row in listed("--whose", "own")] == []
    rows = {row["name"]: row for row in listed()}
    assert (rows["sample-sft"]["runs_here"], rows["sample-sft"]["why_not"]) == (True, "")
    assert rows["dapo"]["runs_here"] is False
    assert "no GPU" in rows["dapo"]["why_not"]
