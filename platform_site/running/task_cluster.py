"""The processes of the task queue. When one of them is killed, all end, and are started again.

The processes of django-q2 would outlive the killed one and be useless: a killed worker takes the
queue's lock with it, so its successor waits for ever; and without its guard a cluster can be
neither stopped nor watched.
"""

import os
import signal
import threading
import time
from multiprocessing import Process
from typing import Any

from django_q import cluster

from platform_site.running.lifeline import tie_to

LEAVES_WITHIN = 20.0  # seconds from SIGTERM; a task that is not done by then is asked for again


class Guard(cluster.Sentinel):  # type: ignore[misc]
    def reincarnate(self, process: Process) -> None:
        """Replace a worker that ended by itself. When a worker was killed, end all processes."""
        if process.exitcode is not None and process.exitcode < 0:
            self.give_up()
        super().reincarnate(process)

    def give_up(self) -> None:
        """End without touching the queues, which may be locked; running tasks may finish first.

        The watcher asks again for the other tasks that were taken out of the queue.
        """
        self.event_out.set()
        until = time.monotonic() + self.timeout
        while time.monotonic() < until and any(map(is_busy, self.pool)):
            time.sleep(0.1)
        os._exit(1)


def is_busy(worker: Any) -> bool:
    return bool(worker.is_alive() and worker.timer.value > 0)


class Cluster(cluster.Cluster):  # type: ignore[misc]
    def sig_handler(self, signum: int, frame: object) -> None:
        """Stop the cluster, and end this process after LEAVES_WITHIN in any case."""
        timer = threading.Timer(LEAVES_WITHIN, os._exit, (1,))
        timer.daemon = True
        timer.start()
        super().sig_handler(signum, frame)

    def run(self) -> int:
        """Run until the cluster is told to stop; return 0, or 1 when a process of it was killed."""
        cluster.Sentinel = Guard
        forks = Forks()
        os.register_at_fork(before=forks.before, after_in_child=forks.in_child)
        self.start()
        self.sentinel.join()
        return 1 if self.sentinel.exitcode else 0


class Forks:
    """End each process that is forked from here when its parent ends."""

    parent = 0

    def before(self) -> None:
        self.parent = os.getpid()

    def in_child(self) -> None:
        if tie := tie_to(self.parent, signal.SIGKILL):
            tie()
