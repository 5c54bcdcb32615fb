"""One view of a machine's devices, whoever told of them."""

from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from compute.machines import groups
from compute.machines.devices import devices_of, nodes_of
from compute.models import Machine
from compute.sizing.devices import Device, Devices, Node
from jobs.queue.claims import room_of
from jobs.queue.state import queue_of
from tests import factories
from tests.pages import queries

pytestmark = pytest.mark.django_db
NOW = timezone.now()
CHECKED = {
    "at": NOW.isoformat(),
    "parts": {"gpus": {"data": {"gpus": [{"index": 3, "name": "A100", "memory": 40 << 30}]}}},
}
NODES = [{"name": "10.0.0.1", "gpus": 1}, {"name": "10.0.0.2", "gpus": 2}]


def measure(machine: Machine, *names: str) -> None:
    gpus = [{"index": at, "name": name, "memory_total": 80 << 30} for at, name in enumerate(names)]
    machine.samples.create(at=NOW, data={"cpu_percent": 1, "gpus": gpus})


def test_nothing_is_known_before_anybody_told() -> None:
    assert devices_of(factories.make_machine()) is None


def test_a_sample_tells_more_freshly_than_a_check() -> None:
    box = factories.make_ssh_machine(facts=CHECKED)
    assert devices_of(box) == Devices((Device(3, "A100", 40 << 30),), (), "check", NOW)
    measure(box, "H100")
    assert devices_of(box) == Devices((Device(0, "H100", 80 << 30),), (), "sample", NOW)


def test_a_machine_without_a_gpu_is_known_to_have_none() -> None:
    box = factories.make_ssh_machine(facts=CHECKED)
    measure(box)
    assert devices_of(box) == Devices((), (), "sample", NOW)
    assert room_of(box).gpus == frozenset()
    ray = factories.make_machine(kind=Machine.Kind.RAY, facts={"nodes": [{"name": "a", "gpus": 0}]})
    assert nodes_of(ray) == [0]
    assert room_of(ray).gpus == frozenset()


def test_the_user_says_how_many_and_a_sample_what_they_are() -> None:
    box = factories.make_ssh_machine(gpus=2)
    measure(box, "H100")
    assert devices_of(box) == Devices((Device(0, "H100", 80 << 30), Device(1)), (), "user", None)


def test_a_cluster_tells_how_many_each_node_has() -> None:
    ray = factories.make_machine(kind=Machine.Kind.RAY, facts={"nodes": NODES})
    found = devices_of(ray)
    assert found
    assert (found.nodes, found.source) == ((Node("10.0.0.1", 1), Node("10.0.0.2", 2)), "nodes")
    assert nodes_of(ray) == [1, 2]
    assert nodes_of(factories.make_machine(kind=Machine.Kind.RAY)) == []
    assert nodes_of(factories.make_machine()) is None


@pytest.fixture
def pair(db: None) -> Machine:
    two = [factories.make_ssh_machine(name=name, python="/venv/bin/python") for name in "ab"]
    for machine in two:
        measure(machine, "H100", "H100")
    return groups.join("pair", [(machine, "") for machine in two])


def test_a_group_has_those_of_its_machines(pair: Machine) -> None:
    found = devices_of(pair)
    assert found
    assert [(one.node, one.index) for one in found.found] == [
        ("a", 0), ("a", 1), ("b", 0), ("b", 1),
    ]  # fmt: skip
    assert found.nodes == (Node("a", 2), Node("b", 2))
    measure(factories.make_ssh_machine(name="c"), "H100")
    Machine.objects.get(name="a").samples.all().delete()
    assert devices_of(pair) is None


def test_the_queue_and_the_pages_tell_the_same(pair: Machine, page: Client) -> None:
    head = Machine.objects.get(name="a")
    assert room_of(head).gpus == frozenset({0, 1})
    assert [(one.number, one.name) for one in queue_of(head).devices] == [(0, "H100"), (1, "H100")]
    two, four = (f"{count} \N{MULTIPLICATION SIGN} H100 80.0 GiB" for count in (2, 4))
    listed = text(page, "/machines/")
    assert (listed.count(two), listed.count(four)) == (2, 1)
    assert f"GPUs {two} seen" in text(page, f"/machines/{head.pk}/")
    assert f"GPUs {four} seen" in text(page, f"/machines/{pair.pk}/")


def test_groups_in_the_list_take_no_further_queries(pair: Machine, page: Client) -> None:
    one = queries(page, "/machines/")
    more: list[Any] = [
        factories.make_ssh_machine(name=name, python="/venv/bin/python") for name in "xyz"
    ]
    groups.join("three", [(machine, "") for machine in more])
    assert queries(page, "/machines/") == one


def text(page: Client, url: str) -> str:
    """A page without its tags, with single spaces."""
    from django.utils.html import strip_tags

    content = strip_tags(page.get(url).content.decode())
    return " ".join(content.replace("\N{NO-BREAK SPACE}", " ").split())
