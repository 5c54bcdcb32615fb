"""What the address of a comparison asks for."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from django.contrib.auth.models import User
from django.http import QueryDict

from jobs.compare.comparison import MOST
from jobs.listing.columns import Column, column_of
from jobs.models import Job
from monitoring.compare.axes import AXES
from platform_site.fields import asked, asked_key

MOST_METRICS = 24
LONGEST = 200  # characters of a metric's name
MOST_WEIGHT = 99  # per cent of the smoothing


@dataclass(frozen=True)
class Question:
    """``numbers`` are the runs that the address names, each once; ``hidden`` are among them."""

    numbers: tuple[int, ...]
    metrics: tuple[str, ...] = ()
    axis: str = "step"
    baseline: int | None = None
    group: str = ""
    at: int | None = None
    smooth: int = 0
    hidden: frozenset[int] = frozenset()
    shows_all: bool = False
    unread: tuple[str, ...] = ()  # what names no run

    @cached_property
    def grouping(self) -> Column | None:
        """The setting by which runs are put together."""
        column = column_of(self.group)
        return column if column and column.field else None


def question_of(given: QueryDict) -> Question:
    """``?a=1&b=2`` or ``?job=1&job=2``, and how they are shown."""
    texts = [text for name in ("a", "b", "job") for text in given.getlist(name) if text]
    keys = {text: asked_key(text) for text in dict.fromkeys(texts)}
    names = (asked(name).strip() for name in given.getlist("metric"))
    return Question(
        numbers=tuple(dict.fromkeys(key for key in keys.values() if key is not None)),
        unread=tuple(text[:20] for text, key in keys.items() if key is None),
        metrics=tuple(dict.fromkeys(name for name in names if name))[:MOST_METRICS],
        axis=axis if (axis := given.get("x", "")) in AXES else "step",
        baseline=asked_key(given.get("baseline", "")),
        group=asked(given.get("group")),
        at=asked_key(given.get("at", "")),
        smooth=min(MOST_WEIGHT, asked_key(given.get("smooth", "")) or 0),
        hidden=frozenset(filter(None, map(asked_key, given.getlist("hide")))),
        shows_all="all" in given,
    )


@dataclass(frozen=True)
class Found:
    """The runs of a question in its order, what of it names none that the user sees, and how many
    more were named than are compared."""

    jobs: Sequence[Job]
    missing: Sequence[str]
    left_out: int


def found(question: Question, user: User) -> Found:
    """A run that does not exist, or is somebody else's, is left out, and said to be missing."""
    jobs = Job.objects.visible_to(user).select_related(
        "machine", "owner", "dataset_version__dataset"
    )
    by_number = jobs.in_bulk(question.numbers)
    known = [by_number[number] for number in question.numbers if number in by_number]
    missing = [str(number) for number in question.numbers if number not in by_number]
    return Found(known[:MOST], [*missing, *question.unread], max(0, len(known) - MOST))
