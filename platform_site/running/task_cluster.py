"""The task queue's processes: when one of them is killed, all of them end, to be started again.

By themselves those of django-q2 outlive the one that was killed, and are of no use any more: a
killed worker takes the lock of the queue with it, for which its successor waits for ever, and
without its guard a cluster can neither be told to stop nor be seen.
"""

import os
import signal
import threading
import time
from multiprocessing import Process
from typing import Any

from django_q import cluster

from platform_site.running.lifeline import tie_to

LEAVES_WITHIN = 20.0  # seconds from SIGTERM; what a task has not done by then is asked for again


class Guard(cluster.Sentinel):  # type: ignore[misc]
    def reincarnate(self, process: Process) -> None:
        """Replace a worker that ended; after one that was killed end all."""
        if process.exitcode is not None and process.exitcode < 0:
            self.give_up()
        super().reincarnate(process)

    def give_up(self) -> None:
        """End without the queues, which may be locked; a task that is at work may come to its end.

        What else was taken out of the queue, the watcher asks for again.
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
        """Stop, in any case and in time."""
        timer = threading.Timer(LEAVES_WITHIN, os._exit, (1,))
        timer.daemon = True
        timer.start()
        super().sig_handler(signum, frame)

    def run(self) -> int:
        """Until it is told to stop; then 0, or 1 when one of its processes was killed."""
        cluster.Sentinel = Guard
        forks = Forks()
        os.register_at_fork(before=forks.before, after_in_child=forks.in_child)
        self.start()
        self.sentinel.join()
        return 1 if self.sentinel.exitcode else 0


class Forks:
    """Lets each process that is forked from here end with its parent."""

    parent = 0

    def before(self) -> None:
        self.parent = os.getpid()

    def in_child(self) -> None:
        if tie := tie_to(self.parent, signal.SIGKILL):
            tie()
