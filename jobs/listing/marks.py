"""Tags, notes and pins: what people put on jobs."""

from collections.abc import Iterable

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import transaction

from jobs import events, lifecycle
from jobs.models import LONGEST_TAG, PLAIN_TAG, Job, PinnedJob, Tag

MOST_TAGS = 20  # of a job
LONGEST_SAID = 120  # characters of a note in the words of an event


def tags_in(text: str) -> list[str]:
    """The tags that a text names, with blanks or commas between. Raises ``ValidationError``."""
    found = list(dict.fromkeys(text.replace(",", " ").split()))
    for tag in found:
        if len(tag) > LONGEST_TAG:
            raise ValidationError(f"The tag {tag} is longer than {LONGEST_TAG} characters.")
        PLAIN_TAG(tag)
    return found


def tag(job: Job, add: Iterable[str] = (), remove: Iterable[str] = (), *, who: str = "") -> bool:
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
            tagged(job, had, wanted, who=who)
            lifecycle.touch(job)
    return wanted != had


def tagged(job: Job, had: Iterable[str], has: Iterable[str], *, who: str) -> None:
    """Write down that a job got other tags."""
    before, now = sorted(had), sorted(has)
    said = f"from {' '.join(before) or 'none'} to {' '.join(now) or 'none'}"
    data = {"from": before, "to": now}
    lifecycle.record(job, events.TAGGED, who=who, message=said, **data)


def retag(job: Job, tags: Iterable[str], *, who: str = "") -> bool:
    """Give a job these tags and no others."""
    wanted = set(tags)
    had = set(job.tags.values_list("name", flat=True))
    return tag(job, wanted - had, had - wanted, who=who)


def note(job: Job, text: str, *, who: str = "") -> bool:
    """Keep what people say of a job; whether it is another text."""
    text = text.replace("\r\n", "\n").strip()
    if text == job.note:
        return False
    with transaction.atomic():
        said = f"from {_beginning(job.note)} to {_beginning(text)}"
        data = {"from": job.note, "to": text}
        lifecycle.record(job, events.NOTED, who=who, message=said, **data)
        lifecycle.touch(job, note=text)
    return True


def _beginning(text: str) -> str:
    """Of a note, for a line: events keep the whole beside it."""
    line = " ".join(text.split())
    return f"“{line[:LONGEST_SAID]}{'…' if len(line) > LONGEST_SAID else ''}”" if line else "none"


def pin(job: Job, user: User, *, on: bool) -> bool:
    """Let a job stand first in a user's list, or no more; whether that changed anything."""
    if on:
        return PinnedJob.objects.get_or_create(job=job, user=user)[1]
    return bool(PinnedJob.objects.filter(job=job, user=user).delete()[0])
