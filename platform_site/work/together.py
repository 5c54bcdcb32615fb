"""One process for all the work of a kind that waits, however much was asked for at once."""

from collections.abc import Callable

from django.db.models import QuerySet
from django.utils import timezone

from platform_site.work import verbs
from platform_site.work.beating import beating
from platform_site.work.models import State
from platform_site.work.verbs import W


def work_off(work: W, does: Callable[[W], bool]) -> bool:
    """Do a piece of work, and then those of its kind that wait, as they were asked for; false when
    somebody else does this one, or nobody asked for it. What waits has this process, so it is not
    lost."""
    waiting: QuerySet[W] = type(work)._default_manager.filter(state=State.WAITING)
    with beating(lambda: waiting.all().update(beat_at=timezone.now()), verbs.BEAT):
        is_done = does(work)
        while found := waiting.order_by("asked_at", "pk").first():
            does(found)
    return is_done
