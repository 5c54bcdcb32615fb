"""Which jobs the list shows, in which order and with which columns."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.contrib.auth.models import User
from django.core.paginator import Page, Paginator
from django.db.models import Count, Exists, F, OuterRef, QuerySet
from django.http import QueryDict

from jobs.kinds.registry import registry
from jobs.listing.columns import cells_of, columns_of, known_sort, ordered
from jobs.listing.conditions import condition
from jobs.listing.fields import vocabulary
from jobs.listing.language.reading import Tree, read
from jobs.listing.language.words import LONGEST, NotRead
from jobs.listing.metrics import Metrics
from jobs.models import HELD, Job, JobQuerySet, PinnedJob, Status
from platform_site.fields import asked

PAGE = 50


@dataclass(frozen=True)
class Question:
    """What an address or a command asks of the list. ``where`` is a filter."""

    status: str = ""
    kind: str = ""
    q: str = ""
    where: str = ""
    archive: str = ""
    sort: str = "-created"
    page: str = ""
    columns: tuple[str, ...] = ()


def question_of(given: QueryDict, chosen: Sequence[str]) -> Question:
    """``chosen`` are the columns of an address that names none."""
    names = given.getlist("column") or chosen
    return Question(
        status=asked(given.get("status")),
        kind=asked(given.get("kind")),
        q=asked(given.get("q")),
        where=given.get("where", "").replace("\0", "")[: LONGEST + 1],
        archive=asked(given.get("archive")),
        sort=known_sort(asked(given.get("sort"))),
        page=asked(given.get("page")),
        columns=tuple(column.name for column in columns_of(names)),
    )


@dataclass(frozen=True)
class Problem:
    """A filter that cannot be read: the parts round its fault, why, and what could be there."""

    before: str
    wrong: str
    after: str
    why: str
    possible: tuple[str, ...]


MOST_POSSIBLE = 40


def problem_of(text: str, error: NotRead) -> Problem:
    possible = error.possible[:MOST_POSSIBLE]
    before, wrong, after = text[: error.at], text[error.at : error.end], text[error.end :]
    return Problem(before, wrong, after, str(error), possible)


class Table:
    """The page of the list that answers a question. Where its filter cannot be read, no job is
    listed: a list without its filter would be another one."""

    def __init__(self, question: Question, user: User | None, jobs: JobQuerySet) -> None:
        self.question, self.user = question, user
        self.mine, self.metrics = in_archive(jobs, question.archive), Metrics(jobs)
        self.error: NotRead | None = None
        self.tree: Tree | None = None
        try:
            self.tree = read(question.where, vocabulary(self.metrics))
        except NotRead as error:
            self.error = error
        self.columns = columns_of(question.columns)

    @property
    def problem(self) -> Problem | None:
        return problem_of(self.question.where, self.error) if self.error else None

    @cached_property
    def kinds(self) -> list[tuple[str, str, int]]:
        """All kinds that there are, and those of jobs whose kind is not installed any more."""
        counts = counted(self.mine, "kind")
        labels = dict(registry().choices())
        gone = sorted(counts.keys() - labels.keys())
        labels |= dict(zip(gone, gone, strict=True))
        return [(kind, str(label), counts.get(kind, 0)) for kind, label in labels.items()]

    @cached_property
    def statuses(self) -> list[tuple[str, str, int]]:
        """The statuses, with those that are held beside those that are queued."""
        counts, rows = counted(self.mine, "status"), list[tuple[str, str, int]]()
        held = self.mine.standing(HELD).count() if counts.get(Status.QUEUED) else 0
        for value, label in Status.choices:
            is_queued, count = value == Status.QUEUED, counts.get(value, 0)
            rows.append((value, str(label), count - held if is_queued else count))
            rows += [(HELD, HELD.capitalize(), held)] if is_queued else []
        return rows

    @cached_property
    def jobs(self) -> QuerySet[Job]:
        """All that it finds, those that the user pinned first."""
        pins = PinnedJob.objects.filter(user=self.user, job=OuterRef("pk"))
        marked = self.found.annotate(is_pinned=Exists(pins))
        found = ordered(marked, self.question.sort)
        return found.order_by(F("is_pinned").desc(), *found.query.order_by)

    @cached_property
    def found(self) -> JobQuerySet:
        question, jobs = self.question, self.mine.with_duration()
        if self.error:
            return jobs.none()
        if question.status in (HELD, *Status.values):
            jobs = jobs.standing(question.status)
        if question.kind in {kind for kind, _, _ in self.kinds}:
            jobs = jobs.filter(kind=question.kind)
        if question.q:
            jobs = jobs.filter(name__icontains=question.q)
        if self.tree is None:
            return jobs
        return jobs.filter(condition(self.tree, self.user, self.metrics))

    @cached_property
    def page(self) -> Page[Job]:
        count = self.found.count()
        jobs = self.jobs.select_related("machine", "owner", "dataset_version__dataset")
        pages = Paginator(jobs.prefetch_related("deletions", "tags"), PAGE)
        pages.count = count  # of the jobs alone, without what they are sorted by
        return pages.get_page(self.question.page)

    @cached_property
    def cells(self) -> Mapping[int, list[dict[str, Any]]]:
        return self.cells_of(list(self.page))

    def cells_of(self, jobs: Sequence[Job]) -> Mapping[int, list[dict[str, Any]]]:
        return cells_of(jobs, self.columns)


def stamp_of(table: Table, query: str) -> str:
    """Changes whenever the list would look different, but for the time that passes."""
    page = table.page
    jobs = [(job.pk, job.revision, job.step, job.is_pinned, done_of(job)) for job in page]  # type: ignore[attr-defined]
    figures = [[cell["value"] for cell in row if cell["column"].metric]
               for row in table.cells.values()]  # fmt: skip
    told = [query, table.question.columns, figures, table.statuses, table.kinds]
    shown = repr([page.number, page.paginator.count, jobs, *told])
    return hashlib.sha256(shown.encode()).hexdigest()[:16]


def done_of(job: Job) -> tuple[float | None, bool] | None:
    """How far its deletion is, and whether nobody goes on with it."""
    deletion = job.deletion if job.deleting_at else None
    return (deletion.percent, deletion.is_silent) if deletion else None


def in_archive(jobs: JobQuerySet, wanted: str) -> JobQuerySet:
    """Without those in the archive, unless they are wanted: ``only`` them, or ``all``."""
    if wanted == "only":
        return jobs.filter(archived_at__isnull=False)
    return jobs if wanted == "all" else jobs.shown()


def counted(jobs: QuerySet[Job], field: str) -> dict[str, int]:
    return dict(jobs.order_by().values_list(field).annotate(count=Count("pk")))
