"""A sign of life from work that takes long and says nothing itself meanwhile."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.db import connection


@contextmanager
def beating(beat: Callable[[], object], every: float) -> Iterator[None]:
    """While the block runs, ``beat`` is called every so many seconds, in a thread of its own."""
    ended = threading.Event()
    thread = threading.Thread(target=_beat, args=(beat, every, ended), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _beat(beat: Callable[[], object], every: float, ended: threading.Event) -> None:
    try:
        while not ended.wait(every):
            beat()
    finally:
        connection.close()
