"""The GPUs on the pages of machines: sorted, filtered and paged by themselves."""

import json
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client

from compute.models import Machine
from compute.prices import table
from jobs.models import Lease
from tests import factories
from tests.compute.test_glance import gpu, measure
from tests.pages import HTMX, queries

PART = HTMX | {"HX-Target": "machine-gpus"}


@pytest.fixture
def box(user: User) -> Machine:
    machine = factories.make_ssh_machine(name="box")
    measure(machine, gpu(0, use=97, used=70 * 2**30), gpu(1), gpu(2, use=50), gpu(3, None, None))
    job = factories.make_job(user, name="my run", machine=machine, status="running")
    Lease.objects.create(job=job, machine=machine, device=0)
    table.keep("h100-80g", Decimal("2.1"))
    return machine


def shown(client: Client, machine: Machine, **asked: str) -> str:
    answer = client.get(machine.get_absolute_url(), asked, headers=PART)
    assert answer.status_code == 200
    return " ".join(answer.content.decode().split())


def order(content: str) -> list[int]:
    places = {number: content.find(f"> GPU {number} <") for number in range(4)}
    return sorted((n for n, at in places.items() if at >= 0), key=lambda n: places[n])


def test_each_gpu_with_its_job_use_memory_and_price(page: Client, box: Machine) -> None:
    content = " ".join(page.get(box.get_absolute_url()).content.decode().split())
    for words in (
        ">my run</a>", "in use, by no job of this site", "no job; its use is not known",
        "97 %", "70.0 GiB", "2.10 USD", "1 of 4 with a job, 1 idle: 2.10 USD an hour",
    ):  # fmt: skip
        assert words in content
    assert "8.40 USD" in content  # the whole machine


def test_a_job_of_somebody_else_is_not_named(client: Client, other: User, box: Machine) -> None:
    client.force_login(other)
    content = shown(client, box)
    assert "my run" not in content
    assert "a job of somebody else" in content


def test_htmx_is_given_the_gpus_alone(page: Client, box: Machine) -> None:
    content = shown(page, box)
    assert content.startswith('<section id="machine-gpus"')
    assert "<html" not in content


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, [0, 1, 2, 3]),
        ({"sort": "-gpu"}, [3, 2, 1, 0]),
        ({"sort": "use"}, [1, 2, 0, 3]),
        ({"sort": "-use"}, [0, 2, 1, 3]),
        ({"sort": "free"}, [0, 1, 2, 3]),
        ({"sort": "job"}, [0, 1, 2, 3]),
        ({"sort": "nonsense"}, [0, 1, 2, 3]),
        ({"gpus": "idle"}, [1]),
        ({"gpus": "job"}, [0]),
        ({"gpus": "unknown"}, [3]),
        ({"gpus": "nonsense"}, [0, 1, 2, 3]),
        ({"page": "x"}, [0, 1, 2, 3]),
    ],
)
def test_sorted_and_filtered(
    page: Client, box: Machine, asked: dict[str, str], expected: list[int]
) -> None:
    assert order(shown(page, box, **asked)) == expected


def test_many_gpus_are_shown_by_the_page(page: Client, box: Machine) -> None:
    measure(box, *(gpu(number) for number in range(40)), seconds_ago=0)
    assert shown(page, box).count('<th scope="row"') == 32
    assert shown(page, box, page="2").count('<th scope="row"') == 8


@pytest.mark.parametrize(
    ("gpus", "says"), [([], "This machine has no GPU."), (None, "Not known yet.")]
)
def test_none_and_not_known_are_told_apart(page: Client, db: None, gpus: Any, says: str) -> None:
    machine = factories.make_ssh_machine(name="bare")
    if gpus is not None:
        measure(machine, *gpus)
    assert says in shown(page, machine)


def test_the_same_queries_for_one_gpu_and_many(page: Client, box: Machine, user: User) -> None:
    url = box.get_absolute_url()
    page.get(url)
    before = queries(page, url, headers=PART)
    for device in (1, 2, 3):
        job = factories.make_job(user, machine=box, status="running")
        Lease.objects.create(job=job, machine=box, device=device)
    measure(box, *(gpu(number) for number in range(8)), seconds_ago=0)
    assert queries(page, url, headers=PART) == before


def test_the_list_sums_up_all_machines_once(page: Client, box: Machine) -> None:
    second = factories.make_ssh_machine(name="second")
    measure(second, gpu(0))
    group = factories.make_machine(kind=Machine.Kind.GROUP, name="both")
    for place, machine in enumerate((box, second)):
        group.memberships.create(machine=machine, place=place)
    factories.make_ssh_machine(name="unseen")
    content = " ".join(page.get("/machines/").content.decode().split())
    for words in (
        "<dt>GPUs</dt> <dd> 5 </dd>", "<dt>With a job</dt> <dd> 1 </dd>",
        '<dd> 2 <span class="small muted">4.20 USD an hour</span> </dd>',
        "<dt>In use by others</dt> <dd> 1 </dd>", "10.50 USD",
        "without 1 that has no price",
    ):  # fmt: skip
        assert words in content


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("state=idle", ["box"]),
        ("sort=price", ["dear", "box", "bare"]),
        ("sort=-price", ["box", "dear", "bare"]),
        ("sort=idle", ["dear", "box", "bare"]),
        ("sort=-gpus", ["box", "dear", "bare"]),
    ],
)
def test_the_list_is_sorted_by_what_is_worked_out(
    page: Client, box: Machine, query: str, expected: list[str]
) -> None:
    dear = factories.make_ssh_machine(name="dear")
    measure(dear, gpu(0, use=90))
    table.keep(dear, Decimal(5))
    factories.make_ssh_machine(name="bare")
    content = page.get(f"/machines/?{query}").content.decode()
    places = {name: content.find(f">{name}</a>") for name in ("box", "dear", "bare")}
    assert sorted((n for n, at in places.items() if at >= 0), key=lambda n: places[n]) == expected


def test_the_command_tells_the_same(box: Machine) -> None:
    out = StringIO()
    call_command("machine", "gpus", "box", "--json", stdout=out)
    told = json.loads(out.getvalue())
    assert (told["per_hour"], told["idle"], told["idle_per_hour"]) == (8.4, 1, 2.1)
    assert [one["state"] for one in told["gpus"]] == ["job", "idle", "other", "unknown"]
    assert told["gpus"][0] == {
        "machine": "box", "gpu": 0, "name": "NVIDIA H100 80GB HBM3", "card": "h100-80g",
        "state": "job", "job": "my run", "use_percent": 97, "memory_used": 70 * 2**30,
        "memory_total": 80 * 2**30, "per_hour": 2.1,
    }  # fmt: skip
    out = StringIO()
    call_command("machine", "gpus", "box", stdout=out)
    assert "97 %   70.0 GiB of 80.0 GiB    2.10 USD  my run" in out.getvalue()
