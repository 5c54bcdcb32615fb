"""Recipes of chains that start at set times."""

import logging
import uuid as uuids
from datetime import datetime

from django.db import DatabaseError
from django.utils import timezone

from evaluations.chains.models import SPANS, ChainRecipe, Every
from evaluations.chains.services import NotStarted, start
from jobs.work import later

log = logging.getLogger(__name__)


def kick_due() -> None:
    """Have a worker start each chain whose time has come. What was missed while the site was down
    is started once and not made up for."""
    due = ChainRecipe.objects.filter(next_at__lte=timezone.now(), owner__is_active=True)
    for pk in due.exclude(every=Every.NEVER).values_list("pk", flat=True):
        later("evaluations.chains.tasks.start_kept", pk)


def start_kept(pk: int) -> None:
    """Start a chain whose time has come, once for each time.

    The next time is set after the start: whoever is killed between leaves the same start to the
    next one, which is the same chain.
    """
    kept = ChainRecipe.objects.select_related("owner", "machine").filter(pk=pk).first()
    at = kept.next_at if kept else None
    if kept is None or at is None or at > timezone.now():
        return  # another one was first
    number = uuids.uuid5(uuids.NAMESPACE_URL, f"chain recipe {kept.pk} at {at.isoformat()}")
    said = timezone.localtime(at).strftime("%d %b %H:%M")
    problem = ""
    try:
        start(
            kept.text, kept.owner, machine=kept.machine, name=f"{kept.name[:120]}, {said}",
            uuid=number, kept=kept,
        )  # fmt: skip
    except NotStarted as error:
        problem = f"At {said}: {error}"
    except DatabaseError:
        raise  # it is tried again
    except Exception:
        log.exception("The chain %s did not start at its time", kept)
        problem = f"At {said} it did not start; the log of the site says more."
    after = next_after(at, kept.every, timezone.now())
    ChainRecipe.objects.filter(pk=kept.pk, next_at=at).update(next_at=after, problem=problem)


def next_after(at: datetime, every: str, now: datetime) -> datetime:
    """The first time after now of those that ``at`` is one of."""
    span = SPANS[Every(every)]
    missed = max(0, (now - at) // span)
    return at + span * (missed + 1)
