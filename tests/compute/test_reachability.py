"""Whether a machine answers: said once, kept with its reason, and never holding the watcher up."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from compute.machines.load import record_sample
from compute.machines.local import local_machine
from compute.machines.reachability import mark_reachable, mark_unreachable
from compute.machines.runners import runner_for
from compute.models import Machine
from compute.runners.base import HostKeyRefused, RunnerError, Unreachable
from compute.runners.ssh.runner import SshRunner
from tests import factories

pytestmark = pytest.mark.django_db
LOAD = {"cpu_percent": 5.0, "memory_used": 1, "memory_total": 2, "gpus": []}


@pytest.fixture
def box() -> Machine:
    return factories.make_ssh_machine(name="box", python="/opt/verl/bin/python")


def off(since: float | None = None, words: str = "It is off.") -> Unreachable:
    error = Unreachable(words)
    error.since = since
    return error


def answers(monkeypatch: pytest.MonkeyPatch, answer: Any) -> None:
    def sample(self: SshRunner) -> dict[str, Any]:
        if isinstance(answer, Exception):
            raise answer
        found: dict[str, Any] = answer
        return found

    monkeypatch.setattr(SshRunner, "sample", sample)


def test_first_it_is_said_since_when_and_why(box: Machine) -> None:
    mark_unreachable(box, off(since=1_800_000_000))
    box.refresh_from_db()
    assert box.unreachable_since == datetime.fromtimestamp(1_800_000_000, UTC)
    assert (box.unreachable_reason, box.state) == ("It is off.", "unreachable")


def test_since_stays_and_the_reason_is_the_newest(box: Machine) -> None:
    mark_unreachable(box, off(since=1_800_000_000))
    mark_unreachable(box, off(words="It is off. So it has been for an hour."))
    box.refresh_from_db()
    assert box.unreachable_reason == "It is off."
    mark_unreachable(box, HostKeyRefused("Its key changed."))
    box.refresh_from_db()
    assert box.unreachable_since == datetime.fromtimestamp(1_800_000_000, UTC)
    assert box.unreachable_reason == "Its key changed."


def test_it_is_said_that_nothing_is_tried_any_more(box: Machine) -> None:
    mark_unreachable(box, off())
    waits = off(words="It is off. Nothing is tried any more.")
    waits.waits_for_user = True
    mark_unreachable(box, waits)
    box.refresh_from_db()
    assert box.unreachable_reason == "It is off. Nothing is tried any more."


def test_it_is_back(box: Machine) -> None:
    mark_unreachable(box, off())
    mark_reachable(box)
    box.refresh_from_db()
    assert (box.unreachable_since, box.unreachable_reason, box.state) == (None, "", "reachable")
    assert box.seen_at is not None


def test_a_machine_that_answers_all_the_time_is_not_written_each_time(box: Machine) -> None:
    mark_reachable(box)
    box.refresh_from_db()
    first = box.seen_at
    mark_reachable(box)
    box.refresh_from_db()
    assert box.seen_at == first
    Machine.objects.update(seen_at=timezone.now() - timedelta(minutes=1))
    mark_reachable(box)
    box.refresh_from_db()
    assert box.seen_at is not None
    assert first is not None
    assert box.seen_at > first


def test_the_load_is_measured_where_there_is_an_answer(
    box: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers(monkeypatch, LOAD)
    assert record_sample(box) is not None
    box.refresh_from_db()
    assert (box.state, box.samples.count()) == ("reachable", 1)
    answers(monkeypatch, off())
    assert record_sample(box) is None
    box.refresh_from_db()
    assert (box.state, box.samples.count()) == ("unreachable", 1)


@pytest.mark.parametrize("fields", [{"host_key": ""}, {"is_retired": True}])
def test_what_is_not_confirmed_or_removed_is_left_alone(
    fields: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    answers(monkeypatch, AssertionError("asked"))
    machine = factories.make_ssh_machine(**fields)
    assert record_sample(machine) is None
    machine.refresh_from_db()
    assert machine.unreachable_since is None


def test_a_machine_that_is_off_is_told_once_and_the_others_are_measured(
    box: Machine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    local = local_machine()
    answers(monkeypatch, off(words="box is off."))
    for _ in range(3):
        for machine in Machine.objects.all():
            record_sample(machine)
    assert local.samples.count() == 3
    assert [record.getMessage() for record in caplog.records] == ["box: box is off."]


def test_of_a_removed_machine_every_question_has_the_same_answer() -> None:
    machine = factories.make_ssh_machine(name="gone", is_retired=True)
    runner = runner_for(machine)
    with pytest.raises(Unreachable, match="gone was removed from Trainyard"):
        runner.stat("/x")


def test_secrets_that_do_not_open_are_an_answer_and_no_crash(box: Machine, home: Any) -> None:
    box.secrets.create(name="password", value="x", set_at=timezone.now())
    (home / "secret_keys").unlink()
    with pytest.raises(Unreachable, match="does not open with the keys at hand"):
        runner_for(box).now()


def test_a_machine_that_answers_without_its_load_is_there(
    box: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    Machine.objects.filter(pk=box.pk).update(unreachable_since=timezone.now())
    answers(monkeypatch, RunnerError("~/runs cannot be measured: No such file or directory"))
    with pytest.raises(RunnerError, match="cannot be measured"):
        record_sample(box)
    box.refresh_from_db()
    assert box.unreachable_since is None
