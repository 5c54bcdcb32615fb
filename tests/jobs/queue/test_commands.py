import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command

from compute.models import Machine
from jobs.models import Job, Lease
from tests import factories


@pytest.fixture
def box(staff: User) -> Machine:
    return factories.make_machine(name="box", gpus=2)


@pytest.fixture
def waiting(user: User, box: Machine) -> list[Job]:
    return [factories.make_job(user, machine=box, status="queued", gpus=2) for _ in range(3)]


def told(capsys: pytest.CaptureFixture[str], *argv: str) -> Any:
    call_command(*argv, "--json")
    return json.loads(capsys.readouterr().out)


def line(capsys: pytest.CaptureFixture[str]) -> list[int]:
    [queue] = told(capsys, "queue", "--machine", "box")
    return [row["id"] for row in queue["waiting"]]


def test_the_queue_as_json(
    capsys: pytest.CaptureFixture[str], user: User, box: Machine, waiting: list[Job]
) -> None:
    running = factories.make_job(user, machine=box, status="running", gpus=1)
    Lease.objects.create(job=running, machine=box, device=1)
    [queue] = told(capsys, "queue", "--machine", "box")
    assert queue["gpus"] == [
        {"device": 0, "name": "", "job": None},
        {"device": 1, "name": "", "job": running.pk},
    ]
    assert [(row["id"], row["devices"]) for row in queue["running"]] == [(running.pk, [1])]
    assert queue["waiting"][1] == {
        "place": 2,
        "id": waiting[1].pk,
        "name": waiting[1].name,
        "owner": "ada",
        "priority": "normal",
        "gpus": 2,
        "after": None,
        "held_by": None,
        "reason": "Waits for 2 GPUs; 1 is free; behind 1 job.",
    }
    call_command("queue")
    text = capsys.readouterr().out
    assert f"GPU 1    job {running.pk}, ada" in text
    assert f"2. {waiting[1].pk:>6}  normal ada" in text


def test_no_such_machine(box: Machine) -> None:
    with pytest.raises(CommandError, match=r"There is no machine gone\. There are: box"):
        call_command("queue", "--machine", "gone")


def test_nothing(capsys: pytest.CaptureFixture[str], box: Machine) -> None:
    Machine.objects.filter(pk=box.pk).update(gpus=0)
    call_command("queue")
    assert capsys.readouterr().out == (
        "box: 1 of 1 CPU slots free\n  nothing runs and nothing waits\n"
    )


def test_move(capsys: pytest.CaptureFixture[str], waiting: list[Job]) -> None:
    a, b, c = (job.pk for job in waiting)
    assert told(capsys, "move", str(c), "--before", str(a))["place"] == 1
    assert line(capsys) == [c, a, b]
    assert told(capsys, "move", str(c), "--after", str(a))["changed"] is True
    assert line(capsys) == [a, c, b]
    assert told(capsys, "move", str(a), "--last")["place"] == 3
    assert told(capsys, "move", str(a), "--last")["changed"] is False
    assert told(capsys, "move", str(a), "--first")["place"] == 1
    call_command("move", str(a), "--down")
    assert capsys.readouterr().out.startswith(f"Job {a} is number 2 in line. About to")


def test_a_move_that_may_not_be(waiting: list[Job], other: User) -> None:
    pk = str(waiting[0].pk)
    with pytest.raises(CommandError, match="is ada's"):
        call_command("move", pk, "--first", "--user", "mallory")
    with pytest.raises(CommandError, match="There is no job 999"):
        call_command("move", pk, "--before", "999")
    with pytest.raises(CommandError, match="one of the arguments --before"):
        call_command("move", pk)


def test_hold_and_release(capsys: pytest.CaptureFixture[str], waiting: list[Job]) -> None:
    pk = str(waiting[0].pk)
    held = told(capsys, "hold", pk, "--why", "data come later")
    assert (held["held_by"], held["waits"]) == ("root", "Held by root: data come later.")
    with pytest.raises(CommandError, match="is held by root"):
        call_command("release", pk, "--user", "ada")
    assert told(capsys, "release", pk)["held_by"] is None
    with pytest.raises(CommandError, match="at most 200 characters"):
        call_command("hold", pk, "--why", "x" * 201)


def test_priority(capsys: pytest.CaptureFixture[str], waiting: list[Job]) -> None:
    pk = str(waiting[2].pk)
    assert told(capsys, "priority", pk, "high")["place"] == 1
    with pytest.raises(CommandError, match="High priority is for staff"):
        call_command("priority", str(waiting[1].pk), "high", "--user", "ada")


def test_submit_refuses_what_can_never_fit(samples: Any, staff: User, box: Machine) -> None:
    sets = ["--set", f"machine={box.pk}", "--set", "device=cuda", "--set", "gpus=4"]
    with pytest.raises(CommandError) as refused:
        call_command("submit", "sample-sft", *sets)
    assert "gpus: It needs 4 GPUs, and this machine has 2 GPUs: it can never start" in str(
        refused.value
    )
    assert not Job.objects.exists()
