"""What machines have and do, and what it costs: nothing is said that nobody measured."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from compute import glance
from compute.glance import Glance
from compute.machines.users import Holder
from compute.models import Machine, MachineSample
from compute.prices import table
from jobs.models import Lease
from tests import factories

H100, MEMORY = "NVIDIA H100 80GB HBM3", 80 * 2**30


def gpu(index: int, use: float | None = 0, used: float | None = 2**29, **more: Any) -> Any:
    return {"index": index, "name": H100, "memory_total": MEMORY, "memory_used": used,
            "util_percent": use, **more}  # fmt: skip


def measure(machine: Machine, *gpus: Any, seconds_ago: float = 1) -> None:
    at = timezone.now() - timedelta(seconds=seconds_ago)
    MachineSample.objects.create(machine=machine, at=at, data={"cpu_percent": 1, "gpus": gpus})


def at_a_glance(machine: Machine, viewer: User | None = None) -> Glance:
    found = glance.with_load(Machine.objects.filter(pk=machine.pk))
    return glance.glances_of(found, viewer)[0]


@pytest.fixture
def box(db: None) -> Machine:
    return factories.make_ssh_machine(name="box")


@pytest.mark.parametrize(
    ("told", "state", "free"),
    [
        (gpu(0), "idle", MEMORY - 2**29),
        (gpu(0, use=6), "other", MEMORY - 2**29),
        (gpu(0, used=8 * 2**30), "other", MEMORY - 8 * 2**30),
        (gpu(0, use=None), "idle", MEMORY - 2**29),
        (gpu(0, used=None), "idle", None),
        (gpu(0, use=None, used=None), "unknown", None),
    ],
)
def test_what_a_gpu_without_a_job_does(
    box: Machine, told: Any, state: str, free: int | None
) -> None:
    measure(box, told)
    [found] = at_a_glance(box).gpus or ()
    assert (found.state, found.free, found.total) == (state, free, MEMORY)


def test_an_old_sample_does_not_say_what_a_gpu_does_now(box: Machine) -> None:
    table.keep("h100-80g", Decimal(2))
    measure(box, gpu(0), seconds_ago=31)
    now = at_a_glance(box)
    [found] = now.gpus or ()
    assert (found.state, found.use, found.used, found.total) == ("unknown", None, None, MEMORY)
    assert (now.is_old, now.idle, now.idle_cost, now.use, now.memory) == (True, 0, None, None, None)


def test_gpus_that_nobody_told_of_are_not_known(box: Machine) -> None:
    table.keep(box, Decimal(3))
    now = at_a_glance(box)
    assert (now.gpus, now.per_hour, now.idle_cost, now.is_old) == (None, 3, None, False)


def test_a_job_has_the_gpus_that_it_leased(box: Machine, user: User, other: User) -> None:
    measure(box, gpu(0), gpu(1))
    job = factories.make_job(user, name="mine", machine=box, status="running")
    Lease.objects.create(job=job, machine=box, device=1)
    seen = Holder("mine", job.get_absolute_url())
    for viewer, holder in ((None, seen), (user, seen), (other, Holder())):
        free, leased = at_a_glance(box, viewer).gpus or ()
        assert (free.holder, free.state) == (None, "idle")
        assert (leased.holder, leased.state) == (holder, "job")


def test_a_machine_costs_what_its_cards_cost_or_its_own_price(box: Machine) -> None:
    measure(box, gpu(0), gpu(1, use=90))
    assert [found.price for found in at_a_glance(box).gpus or ()] == [None, None]
    table.keep("h100-80g", Decimal("2.5"))
    now = at_a_glance(box)
    assert (now.per_hour, now.idle_cost) == (5, 2.5)
    table.keep(box, Decimal(3))
    now = at_a_glance(box)
    assert (now.per_hour, now.idle_cost) == (3, 1.5)


def test_one_card_without_a_price_leaves_the_machine_without_one(box: Machine) -> None:
    table.keep("h100-80g", Decimal("2.5"))
    measure(box, gpu(0), gpu(1) | {"name": "Some card"})
    now = at_a_glance(box)
    assert [found.price for found in now.gpus or ()] == [2.5, None]
    assert (now.per_hour, now.idle, now.idle_cost) == (None, 2, None)


def test_what_a_rental_still_costs(box: Machine) -> None:
    table.keep(box, Decimal(3))
    assert at_a_glance(box).cost_left is None
    box.rental_ends_at = timezone.now() + timedelta(hours=2)
    box.save()
    assert at_a_glance(box).cost_left == pytest.approx(6, abs=0.01)
    box.rental_ends_at = timezone.now() - timedelta(hours=2)
    box.save()
    assert at_a_glance(box).cost_left is None


def test_machines_together_have_the_gpus_of_each(box: Machine, user: User) -> None:
    second = factories.make_ssh_machine(name="second")
    group = factories.make_group(box, second)
    measure(box, gpu(0))
    assert at_a_glance(group).gpus is None
    measure(second, gpu(0, use=90), seconds_ago=9)
    job = factories.make_job(user, machine=group, status="running")
    Lease.objects.create(job=job, machine=second, device=0)
    table.keep("h100-80g", Decimal("2.5"))
    now = at_a_glance(group)
    assert [(found.machine.name, found.state) for found in now.gpus or ()] == [
        ("box", "idle"),
        ("second", "job"),
    ]
    assert (now.per_hour, now.use, now.memory) == (5, 45, (2**30, 2 * MEMORY))
    assert now.measured_at == second.samples.get().at


def test_machines_together_cost_what_each_costs(box: Machine) -> None:
    second = factories.make_ssh_machine(name="second")
    group = factories.make_group(box, second)
    measure(box, gpu(0), gpu(1))
    measure(second, gpu(0))
    table.keep(box, Decimal(3))
    assert at_a_glance(group).per_hour is None
    table.keep("h100-80g", Decimal("2.5"))
    now = at_a_glance(group)
    assert [found.price for found in now.gpus or ()] == [1.5, 1.5, 2.5]
    assert now.per_hour == 5.5


def test_the_gpus_of_a_cluster_are_named_with_their_node(db: None) -> None:
    cluster = factories.make_machine(kind=Machine.Kind.RAY, name="cluster")
    measure(cluster, gpu(0) | {"name": f"{H100} (10.0.0.7)"})
    [found] = at_a_glance(cluster).gpus or ()
    assert found.card
    assert found.card.slug == "h100-80g"
