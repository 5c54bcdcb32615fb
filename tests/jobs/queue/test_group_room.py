"""What a group's machines have free, the head first, and how a job is laid on it."""

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from compute.machines import groups
from compute.models import Machine
from jobs.launch import command, end, start
from jobs.models import Job, Lease, Status
from jobs.queue.line.group import GroupRoom
from jobs.queue.line.machine import Room, Waiting, never_fits, reasons
from tests import factories


def room(*gpus: int, leased: tuple[int, ...] = (), slots: int = 1, busy: int = 0) -> GroupRoom:
    """``leased`` and ``busy`` are the head's."""
    rooms = [Room(frozenset(range(n)), slots=slots) for n in gpus]
    rooms[0] = Room(rooms[0].gpus, frozenset(leased), slots, busy)
    return GroupRoom.of(rooms)


@pytest.mark.parametrize(
    ("gpus", "has", "found"),
    [
        (2, room(4, 4), (0, 1)),
        (8, room(4, 4), (0, 1, 2, 3, 1000, 1001, 1002, 1003)),
        (4, room(4, 4, leased=(0,)), (1, 2, 1000, 1001)),
        (4, room(1, 2, 2), (1000, 1001, 2000, 2001)),
        (3, room(1, 1, 1), (0, 1000, 2000)),
        (3, room(2, 2), None),
        (4, room(1, 4), None),
        (0, room(0, 0), ()),
        (0, room(0, 0, busy=1), None),
    ],
)
def test_where_a_job_is_laid(gpus: int, has: GroupRoom, found: tuple[int, ...] | None) -> None:
    assert has.devices_for(gpus) == found


def test_torchrun_stays_on_the_head() -> None:
    assert room(1, 4).devices_for(2, one_node=True) is None
    assert "torchrun starts it, on the first" in never_fits(2, room(1, 4), one_node=True)
    assert "equally many of each" in never_fits(3, room(2, 2))
    assert never_fits(4, room(2, 2, leased=(0,))) == ""
    [said] = reasons([Waiting(1, 1, 4)], room(2, 2, leased=(0,)))
    assert said == "Waits for 4 GPUs; 3 are free."


@pytest.fixture
def trio(db: None) -> list[Machine]:
    """Two machines, and both together."""
    two = [
        factories.make_ssh_machine(name=n, gpus=2, python="/p", workdir="/s")
        for n in ("anna", "bert")
    ]
    return [*two, groups.join("both", [(one, "") for one in two])]


def queued(user: User, machine: Machine, gpus: int) -> Job:
    spec = factories.grpo_spec(device="cuda", gpus=gpus).to_json()
    return factories.make_job(
        user, machine=machine, kind="grpo", spec=spec, gpus=gpus, status="queued",
        queued_at=timezone.now(),
    )  # fmt: skip


@pytest.mark.usefixtures("queue")
def test_a_device_is_given_once_whichever_way(user: User, trio: list[Machine]) -> None:
    anna, bert, both = trio
    own = queued(user, bert, 1)
    assert start.claim_next(bert.pk) == own
    joint, later = queued(user, both, 4), queued(user, anna, 1)
    assert start.claim_next(both.pk) is None
    end.finish_as(own, Status.FAILED, "So it was.")
    assert start.claim_next(both.pk) == joint
    held = Lease.objects.filter(job=joint).values_list("machine__name", "device")
    assert sorted(held) == [("anna", 0), ("anna", 1), ("bert", 0), ("bert", 1)]
    joint = Job.objects.get(pk=joint.pk)
    built = command.build(joint, joint.spec_of_kind)
    assert {"trainer.nnodes=2", "trainer.n_gpus_per_node=2"} <= set(built.argv)
    assert "CUDA_VISIBLE_DEVICES" not in built.env, "Ray hands them out"
    assert start.claim_next(anna.pk) is None, "its devices are the group's now"
    assert later.status == "queued"
