"""Tags, notes and pins: what people put on jobs."""

from collections.abc import Iterable

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import transaction

from jobs import lifecycle
from jobs.models import LONGEST_TAG, PLAIN_TAG, Job, PinnedJob, Tag

MOST_TAGS = 20  # of a job


def tags_in(text: str) -> list[str]:
    """The tags that a text names, with blanks or commas between. Raises ``ValidationError``."""
    found = list(dict.fromkeys(text.replace(",", " ").split()))
    for tag in found:
        if len(tag) > LONGEST_TAG:
            raise ValidationError(f"The tag {tag} is longer than {LONGEST_TAG} characters.")
        PLAIN_TAG(tag)
    return found


def tag(job: Job, add: Iterable[str] = (), remove: Iterable[str] = ()) -> bool:
    """Put tags on a job and take others off; whether it has others now.

    Raises ``ValidationError`` where it would have too many.
    """
    with transaction.atomic():
        had = set(job.tags.values_list("name", flat=True))
        wanted = (had | set(add)) - set(remove)
        if len(wanted) > MOST_TAGS and wanted - had:
            raise ValidationError(f"Job {job.pk} would have more than {MOST_TAGS} tags.")
        Tag.objects.bulk_create(
            [Tag(job=job, name=name) for name in sorted(wanted - had)], ignore_conflicts=True
        )
        Tag.objects.filter(job=job, name__in=had - wanted).delete()
        if wanted != had:
            lifecycle.touch(job)
    return wanted != had


def retag(job: Job, tags: Iterable[str]) -> bool:
    """Give a job these tags and no others."""
    wanted = set(tags)
    had = set(job.tags.values_list("name", flat=True))
    return tag(job, wanted - had, had - wanted)


def note(job: Job, text: str) -> bool:
    """Keep what people say of a job; whether it is another text."""
    text = text.replace("\r\n", "\n").strip()
    if text == job.note:
        return False
    lifecycle.touch(job, note=text)
    return True


def pin(job: Job, user: User, *, on: bool) -> bool:
    """Let a job stand first in a user's list, or no more; whether that changed anything."""
    if on:
        return PinnedJob.objects.get_or_create(job=job, user=user)[1]
    return bool(PinnedJob.objects.filter(job=job, user=user).delete()[0])
