"""Estimates of many jobs look each thing up once."""

from dataclasses import replace
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django import DjangoAssertNumQueries

from compute.sizing.facts import read_facts
from compute.sizing.gpus import catalogue
from jobs.fit.data import OF_DATA, Data
from jobs.fit.lookups import Lookups
from jobs.fit.sources import NotKnown
from jobs.verl.question import question_of
from jobs.verl.spec import TrainSpec
from platform_site.work.models import State
from tests import factories
from tests.compute.sizing import configs

pytestmark = pytest.mark.django_db


class Read(dict[str, Any]):
    """Values that remember which of them were read."""

    def __init__(self, *args: Any, **values: Any) -> None:
        super().__init__(*args, **values)
        self.names: set[str] = set()

    def get(self, name: str, default: Any = None) -> Any:
        self.names.add(name)
        return super().get(name, default)

    def __getitem__(self, name: str) -> Any:
        self.names.add(name)
        return super().__getitem__(name)


@pytest.fixture
def files() -> dict[str, Any]:
    """The files of data that were checked."""
    version = factories.make_version(target="rl")
    counted = {"lengths": {"counted": 10, "mean": 321.5, "max": 900}}
    version.reports.create(model="m", state=State.DONE, data=counted)
    return {"train_files": version.train_file, "val_files": version.val_file}


def test_the_lengths_are_found_by_no_more_than_they_are_remembered_by(
    files: dict[str, Any],
) -> None:
    values = Read(factories.grpo_spec(**files, max_response_length=1024).values)
    spec = TrainSpec("grpo", values)
    assert Data([spec]).lengths(spec)
    assert values.names == set(OF_DATA)


def test_jobs_on_the_same_data_share_its_lengths_and_others_do_not(
    files: dict[str, Any], django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    lookups = Lookups()

    def prompt(**changes: Any) -> float | None:
        found = lookups.lengths(factories.grpo_spec(**files | changes), "qwen2")
        return found.prompt if found else None

    assert prompt(lr=1e-5) == 321.5
    with django_assert_num_queries(0):
        assert prompt(lr=2e-5) == 321.5
    assert prompt(train_files="/other.parquet") is None


def test_cards_that_are_not_known_are_asked_for_once(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    lookups, box = Lookups(), factories.make_ssh_machine(gpus=4)
    with pytest.raises(NotKnown, match="which cards") as first:
        lookups.cards(box)
    with django_assert_num_queries(0), pytest.raises(NotKnown, match="which cards") as second:
        lookups.cards(box)
    assert (second.value.field, str(second.value)) == (first.value.field, str(first.value))


def test_jobs_on_other_data_and_models_take_as_many_queries_as_one(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    specs = []
    for number in range(6):
        version = factories.make_version(f"/data/{number}.parquet", target="rl")
        counted = {"lengths": {"counted": 10, "mean": 100.0 + number, "max": 900}}
        version.reports.create(model="m", state=State.DONE, data=counted)
        files = {"train_files": version.train_file, "val_files": version.val_file}
        specs.append(factories.grpo_spec(**files, max_response_length=1024))
    gpu, model = catalogue()["h100-80g"], read_facts(configs.QWEN_3_8B)

    def asked(lookups: Lookups, spec: TrainSpec, number: int) -> float | None:
        family = f"family {number}"
        question = question_of(spec, replace(model, model_type=family), gpu)
        assert lookups.correction(question) is None
        found = lookups.lengths(spec, family)
        return found.prompt if found else None

    with CaptureQueriesContext(connection) as one:
        asked(Lookups(specs=specs[:1]), specs[0], 0)
    lookups = Lookups(specs=specs)
    with django_assert_num_queries(len(one)):
        found = [asked(lookups, spec, number) for number, spec in enumerate(specs)]
    assert found == [100.0 + number for number in range(6)]
