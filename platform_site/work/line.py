"""Work that takes turns: who waits, and who is next."""

from collections.abc import Iterator
from functools import cached_property

from django.apps import apps
from django.conf import settings
from django.db.models import QuerySet
from django.utils import timezone

from platform_site.work.doers import IN_LINE
from platform_site.work.models import State, Work
from platform_site.work.places import place, start_in


def go_on() -> None:
    """Start the work that waits longest, if a place is free. Asked at the end of other work, and
    now and then, since a process may be killed."""
    with place() as found:
        if found and (work := first()):
            start_in(found, work._meta.label_lower, work.pk)


def first() -> Work | None:
    found = [rows.order_by("asked_at", "pk").first() for rows in _waiting()]
    return min((work for work in found if work), key=lambda work: work.asked_at, default=None)


def count() -> int:
    return sum(rows.count() for rows in _waiting())


class InLine:
    """What a page says of work that waits. It is counted where something waits."""

    @cached_property
    def text(self) -> str:
        return f"{count()} wait in line; {settings.TRAINYARD_DATA_AT_ONCE} are worked on at a time"


def keep_alive() -> None:
    """Who waits for a place gives no sign of life: who has one gives it for them."""
    for rows in _waiting():
        rows.update(beat_at=timezone.now())


def _waiting() -> Iterator[QuerySet[Work]]:
    for label in sorted(IN_LINE):
        yield apps.get_model(label)._default_manager.filter(state=State.WAITING)
