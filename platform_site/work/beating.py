"""A sign of life from work that takes long and says nothing itself meanwhile."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.db import DatabaseError, connection

log = logging.getLogger(__name__)


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
            _beat_once(beat)
    finally:
        connection.close()


def _beat_once(beat: Callable[[], object]) -> None:
    try:
        beat()
    except DatabaseError as error:  # a busy or lost database must not make living work look dead
        log.warning("A sign of life could not be kept; the next one comes soon: %s", error)
        connection.close()
