"""The task queue's own worker process, in the database or in Redis."""

import signal
from pathlib import Path

import psutil
import pytest
from django.contrib.auth.models import User

from jobs import work
from jobs.launch import end, submit
from jobs.models import Job, Status
from tests import factories, processes
from tests.fakes import FakeTrainer
from tests.sshd import lives
from tests.waiting import eventually

pytestmark = [
    pytest.mark.backends,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("queue"),
]


def status_is(job: Job, status: Status) -> bool:
    return Job.objects.filter(pk=job.pk, status=status).exists()


def test_what_was_submitted_before_a_worker_is_there_is_started_once(
    user: User, trainer: FakeTrainer, home: Path
) -> None:
    trainer.plan(steps=1, gated=True)
    order = factories.make_order(user)
    job = submit.submit(order, start=True)
    waiting = submit.submit(factories.make_order(user), start=True)
    with processes.running("qcluster", env=processes.environment(home)):
        eventually(lambda: status_is(job, Status.RUNNING), 30)
        submit.submit(order, start=True)
        work.kick(job.machine_id)
    assert Path(job.run_dir, "pid").exists()
    assert [path.name for path in Path(job.run_dir).parent.iterdir()] == ["attempt-1"]
    assert [event.kind for event in job.events.all()] == ["queued", "starting", "running"]
    assert status_is(waiting, Status.QUEUED)


def test_a_run_outlives_its_worker(user: User, trainer: FakeTrainer, home: Path) -> None:
    trainer.plan(steps=1, gated=True)
    job = submit.submit(factories.make_order(user), start=True)
    with processes.running("qcluster", env=processes.environment(home)) as worker:
        eventually(lambda: status_is(job, Status.RUNNING), 30)
        worker.send_signal(signal.SIGTERM)
        worker.wait(20)
    trainer.go(1)
    eventually(Path(job.run_dir, "exit_code").exists)
    assert Path(job.run_dir, "exit_code").read_text() == "0\n"


def test_a_worker_stops_a_run(user: User, trainer: FakeTrainer, home: Path) -> None:
    trainer.plan(steps=1, gated=True)
    job = submit.submit(factories.make_order(user), start=True)
    with processes.running("qcluster", env=processes.environment(home)):
        eventually(lambda: status_is(job, Status.RUNNING), 30)
        job.refresh_from_db()
        assert end.stop(job, who="ada")
        eventually(Path(job.run_dir, "exit_code").exists)
    assert Path(job.run_dir, "exit_code").read_text() == "143\n"


WHO = ["itself", "its guard", "a worker"]


@pytest.mark.parametrize(("index", "code"), [(0, -9), (1, 1), (2, 1)], ids=WHO)
def test_when_one_of_its_processes_is_killed_the_cluster_ends_as_a_whole(
    home: Path, index: int, code: int
) -> None:
    """A killed worker takes the lock of the queue with it: its successor would wait for ever."""
    env = processes.environment(home)
    with processes.running("qcluster", env=env) as worker:
        whole = eventually(lambda: tree(worker.pid, 6), 30, "guard, 2 workers, monitor, pusher")
        whole[index].kill()
        assert worker.wait(20) == code
        eventually(lambda: not any(map(lives, whole)), what="the end of all")


def tree(pid: int, size: int) -> list[psutil.Process]:
    """A process and all below it, once they are so many."""
    first = psutil.Process(pid)
    found = [first, *first.children(recursive=True)]
    return found if len(found) == size else []
