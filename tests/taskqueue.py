"""Run the real task queue in the test's own process."""

from collections.abc import Iterator
from importlib import import_module
from typing import Any

from django_q.brokers import Broker, get_broker
from django_q.signing import SignedPackage

Task = tuple[str, tuple[Any, ...]]


def size() -> int:
    return int(get_broker().queue_size())


def clear() -> None:
    broker: Broker = get_broker()
    broker.delete_queue()


def take_all() -> list[Task]:
    """Take all tasks out of the queue: the dotted path and the arguments of each."""
    return list(_take())


def _take() -> Iterator[Task]:
    broker = get_broker()
    while broker.queue_size():
        for task_id, payload in broker.dequeue() or []:
            broker.acknowledge(task_id)
            task = SignedPackage.loads(payload)
            yield task["func"], task["args"]


def work() -> list[Task]:
    """Run the queued tasks, and those that they add; return all tasks that ran."""
    done = []
    while tasks := take_all():
        for path, args in tasks:
            module, _, name = path.rpartition(".")
            getattr(import_module(module), name)(*args)
            done.append((path, args))
    return done
