"""Recipes of chains that start at set times."""

import logging
import uuid as uuids
from datetime import datetime

from django.utils import timezone

from evaluations.chains.models import SPANS, ChainRecipe, Every
from evaluations.chains.services import NotStarted, start

log = logging.getLogger(__name__)


def start_due() -> None:
    """Start each chain whose time has come, once for each time. What was missed while the site was
    down is started once and not made up for."""
    due = ChainRecipe.objects.filter(next_at__lte=timezone.now()).exclude(every=Every.NEVER)
    for kept in due.select_related("owner", "machine"):
        _start(kept, kept.next_at or timezone.now())


def _start(kept: ChainRecipe, at: datetime) -> None:
    """The next time is set after the start: whoever is killed between leaves the same start to the
    next one, which is the same chain."""
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
