"""Doing a piece of long work, from its claim to its end, in the process that was started for it."""

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from django.apps import apps
from django.conf import settings
from django.utils.module_loading import import_string

from platform_site.bounded.limits import limit_memory
from platform_site.counts import limit_text
from platform_site.work import line, verbs
from platform_site.work.doers import DONE_BY, IN_LINE
from platform_site.work.models import State, Work
from platform_site.work.places import place

log = logging.getLogger(__name__)
TELL_EVERY = 1.0  # seconds between two writes of progress
UNEXPECTED = "Something went wrong that Trainyard did not expect: see work.log."
TOO_LARGE = "It needed more than {} of memory: see TRAINYARD_DATA_MEMORY."
BROKEN_OFF = "It was broken off. Ask for it again."
W = TypeVar("W", bound=Work)


class WorkFailed(Exception):
    """The work cannot be done. The message is a sentence for the user."""


class Cancelled(Exception):
    """Somebody does not want the work any more, or another process does it."""


class Progress:
    """Keeps in the row how much is done, once a second, and ends work that was cancelled."""

    def __init__(self, work: Work, clock: Callable[[], float] = time.monotonic) -> None:
        self.work, self.clock, self.next = work, clock, float("-inf")

    def __call__(self, done: int, total: int | None = None) -> None:
        """Raises ``Cancelled``."""
        if self.clock() < self.next and done != total:
            return
        self.next = self.clock() + TELL_EVERY
        self.keep(done=done, total=total)

    def keep(self, **fields: Any) -> None:
        """Write fields at once. Raises ``Cancelled``."""
        if not verbs.keep(self.work, **fields):
            raise Cancelled


def work_off(label: str, pk: int) -> None:
    """Do a piece of work that waits, if it is still there and, where it takes turns, has one."""
    if label not in IN_LINE:
        _work_off(label, pk)
        return
    with place() as found:
        if found:
            limit_memory(settings.TRAINYARD_DATA_MEMORY)
            _work_off(label, pk)
    if found:
        line.go_on()


def _work_off(label: str, pk: int) -> None:
    if work := apps.get_model(label)._default_manager.filter(pk=pk).first():
        import_string(DONE_BY[label])(work)


def do(
    work: W,
    does: Callable[[W], Mapping[str, Any]],
    ended: Callable[[W], object] = lambda work: None,
) -> bool:
    """Claim work and do it; false when it is not to be done, or somebody else does it.

    ``does`` returns the fields to keep, or raises ``WorkFailed`` or ``Cancelled``. The row then
    says how it ended, and ``ended`` is called in the transaction that writes it.
    """
    if not verbs.claim(work):
        return False
    state, fields = _outcome(work, does, ended)
    verbs.end(work, state, ended, **fields)
    return True


def _outcome(
    work: W, does: Callable[[W], Mapping[str, Any]], ended: Callable[[W], object]
) -> tuple[State, Mapping[str, Any]]:
    try:
        with verbs.alive(work):
            return State.DONE, does(work)
    except Cancelled as cancelled:
        return State.CANCELLED, {"error": str(cancelled)}
    except WorkFailed as error:
        return State.FAILED, {"error": str(error)}
    except MemoryError:
        return State.FAILED, {"error": TOO_LARGE.format(limit_text(settings.TRAINYARD_DATA_MEMORY))}
    except Exception:  # a fault of ours: the row must not say for ever that it goes on
        log.exception("%s of %s", work, work._meta.label)
        return State.FAILED, {"error": UNEXPECTED}
    except BaseException:
        verbs.end(work, State.FAILED, ended, error=BROKEN_OFF)
        raise
