"""A list of events for pages and commands: filtered, sorted, one page of it or all."""

import csv
import hashlib
import io
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

from django.core.paginator import Paginator
from django.db.models import Q, QuerySet
from django.http import HttpResponse, JsonResponse
from django.shortcuts import render

from platform_site.events import EventKind, Severity, kind_of, kinds_of
from platform_site.fields import asked
from platform_site.htmx import HtmxHttpRequest

PAGE = 50
NUMBER = re.compile(r"[0-9]+")
DIGITS = 18  # no attempt has more, and Python reads no number of thousands of them
SORTS = ("at", "kind", "who")
TEMPLATE = "events.html"
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a cell that begins so runs in a spreadsheet

Row = dict[str, Any]
Rows = QuerySet[Any, Row]


@dataclass(frozen=True)
class Wanted:
    """Filters and order that a user asks for. A value that cannot be read is left out."""

    kind: str = ""
    severity: str = ""
    source: str = ""
    attempt: int | None = None
    text: str = ""
    sort: str = "-at"

    @classmethod
    def read(cls, given: Mapping[str, Any], sources: Collection[str]) -> "Wanted":
        said = {name: asked(str(given.get(name) or "")) for name in FILTERS}
        attempt, sort = said["attempt"], said["sort"]
        return cls(
            kind=said["kind"],
            severity=said["severity"] if said["severity"] in list(Severity) else "",
            source=said["source"] if said["source"] in sources else "",
            attempt=int(attempt[:DIGITS]) if NUMBER.fullmatch(attempt) else None,
            text=said["q"],
            sort=sort if sort.removeprefix("-") in SORTS else "-at",
        )

    @property
    def is_all(self) -> bool:
        chosen = self.kind or self.severity or self.source or self.text
        return not chosen and self.attempt is None

    def of(self, writer: str, prefix: str = "") -> Q:
        """The events of one writer that match, where they are reached by ``prefix``; that they
        are the writer's is the caller's to see to."""
        found = Q(**{f"{prefix}kind": self.kind}) if self.kind else Q()
        if self.severity:
            found &= self._of_severity(writer, prefix)
        if self.attempt is not None:
            found &= Q(**{f"{prefix}attempt": self.attempt})
        if self.text:
            found &= self._saying(writer, prefix)
        return found

    def _of_severity(self, writer: str, prefix: str) -> Q:
        """A kind that nobody knows is no more than a note."""
        others = {kind.name for kind in kinds_of([writer]) if kind.severity != self.severity}
        same = {kind.name for kind in kinds_of([writer]) if kind.severity == self.severity}
        if self.severity == Severity.INFO:
            return ~Q(**{f"{prefix}kind__in": others})
        return Q(**{f"{prefix}kind__in": same})

    def _saying(self, writer: str, prefix: str) -> Q:
        """With the text in what is shown of them."""
        text = self.text.lower()
        words = {kind.name for kind in kinds_of([writer]) if text in kind.words.lower()}
        found = Q(**{f"{prefix}kind__in": words})
        for name in ("message", "who", "kind"):
            found |= Q(**{f"{prefix}{name}__icontains": self.text})
        return found

    @property
    def order(self) -> tuple[str, ...]:
        """Fields to sort by. Equal events come newest first, or oldest first if time ascends."""
        tie = "id" if self.sort == "at" else "-id"
        return (self.sort, tie) if self.sort.endswith("at") else (self.sort, "-at", tie)


FILTERS = ("kind", "severity", "source", "attempt", "q", "sort")


@dataclass(frozen=True)
class Timeline:
    """The events of one thing: how they are found, and what its page says around them.

    ``writers`` says who writes the events of a source, where the source is named otherwise.
    """

    title: str
    url: str
    crumbs: list[tuple[str, str]]
    rows: Callable[[Wanted], Rows]
    kinds: Iterable[str]
    sources: list[tuple[str, str]]
    file: str
    attempts: list[int] = field(default_factory=list)
    writers: Mapping[str, str] = field(default_factory=dict)
    has_jobs: bool = False
    may_grow: bool = True

    def kind(self, row: Row) -> EventKind:
        return kind_of(row["kind"], self.writers.get(row["source"], row["source"]))

    @property
    def choices(self) -> list[tuple[str, str]]:
        """The kinds that there are, each with its words."""
        writers = [self.writers.get(source, source) for source, _ in self.sources]
        words = {kind.name: kind.words for kind in kinds_of(writers)}
        return sorted(
            ((name, words.get(name, name)) for name in set(self.kinds)), key=itemgetter(1)
        )


def respond(request: HtmxHttpRequest, timeline: Timeline) -> HttpResponse:
    """The page, or only its table for htmx, or 204 when the table has not changed, or a file."""
    wanted = Wanted.read(request.GET, dict(timeline.sources))
    rows = timeline.rows(wanted).order_by(*wanted.order)
    if request.GET.get("format") in FORMATS:
        return FORMATS[request.GET["format"]](timeline, rows)
    page = Paginator(rows, PAGE).get_page(request.GET.get("page"))
    shown, query = list(page.object_list), request.GET.copy()
    query.pop("stamp", None)
    told = repr([query.urlencode(), page.paginator.count, shown])
    stamp = hashlib.sha256(told.encode()).hexdigest()[:16]
    if request.htmx and request.GET.get("stamp") == stamp:
        return HttpResponse(status=204)
    filtered = query.copy()
    filtered.pop("page", None)
    context = {
        "timeline": timeline,
        "wanted": wanted,
        "sort": wanted.sort,
        "page": page,
        "rows": [row | {"means": timeline.kind(row)} for row in shown],
        "severities": list(Severity),
        "sources": dict(timeline.sources),
        "query": query.urlencode(),
        "filtered": filtered.urlencode(),
        "stamp": stamp,
    }
    return render(request, TEMPLATE + ("#table" if request.htmx else ""), context)


def as_json(row: Row) -> Row:
    return {name: value for name, value in row.items() if name != "id"} | {
        "at": row["at"].isoformat()
    }


def _json(timeline: Timeline, rows: Rows) -> HttpResponse:
    return JsonResponse(
        [as_json(row) for row in rows], safe=False, headers=_named(timeline, "json")
    )


def _csv(timeline: Timeline, rows: Rows) -> HttpResponse:
    out = io.StringIO()
    writer = csv.writer(out)
    for number, row in enumerate(map(as_json, rows)):
        if not number:
            writer.writerow(row)
        writer.writerow(map(harmless, row.values()))
    return HttpResponse(
        out.getvalue(), content_type="text/csv; charset=utf-8", headers=_named(timeline, "csv")
    )


def harmless(value: Any) -> str:
    """Text of a cell that no spreadsheet reads as a formula."""
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(FORMULA) else text


def _named(timeline: Timeline, ending: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{timeline.file}.{ending}"'}


FORMATS: dict[str, Callable[[Timeline, Rows], HttpResponse]] = {"csv": _csv, "json": _json}
