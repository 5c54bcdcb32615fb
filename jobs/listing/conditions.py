"""From a filter to a condition of the database. Nothing of a filter is ever run as code."""

from datetime import datetime, timedelta
from functools import reduce
from operator import and_, or_
from typing import Any

from django.contrib.auth.models import User
from django.db.models import BooleanField, ExpressionWrapper, Q, Value
from django.db.models.functions import Coalesce
from django.utils import timezone

from jobs import measured
from jobs.listing.fields import PRIORITIES, Known, figure_of, known_fields
from jobs.listing.language.reading import All, Comparison, Not, Tree
from jobs.listing.language.vocabulary import NUMBER, TEXT, TIME
from jobs.listing.metrics import Metrics
from jobs.models import HELD, PinnedJob, Status, Tag

LOOKUPS = {"=": "exact", "<": "lt", "<=": "lte", ">": "gt", ">=": "gte", "~": "icontains"}
LARGEST = 2**31 - 1
OPPOSITES = {"!=": "=", "!~": "~"}


def condition(tree: Tree, user: User | None, metrics: Metrics) -> Q:
    """Which jobs a filter finds. A comparison is false of a job that lacks what is compared."""
    if isinstance(tree, Comparison):
        operator = OPPOSITES.get(tree.operator, tree.operator)
        found = (_of_metric(tree, operator, metrics) if tree.figure
                 else _of_field(tree, operator, user))  # fmt: skip
        return ~found if tree.operator in OPPOSITES else found
    if isinstance(tree, Not):
        return ~condition(tree.part, user, metrics)
    return reduce(and_ if isinstance(tree, All) else or_,
                  [condition(part, user, metrics) for part in tree.parts])  # fmt: skip


def _of_field(tree: Comparison, operator: str, user: User | None) -> Q:
    one = "=" if operator == "in" else operator
    return reduce(or_, [_one(tree, one, value, user) for value in tree.values])


def _one(tree: Comparison, operator: str, value: Any, user: User | None) -> Q:
    field = known_fields()[tree.name]
    if field.name == "pinned":
        return _is(Q(pk__in=PinnedJob.objects.filter(user=user).values("job")), value)
    if field.name == "tag":
        return Q(pk__in=Tag.objects.filter(**_lookup(field, "name", operator, value)).values("job"))
    if field.name == "status":
        return _stands(value)
    if field.name == "priority":
        return Q(priority=PRIORITIES[value])
    if field.sort == NUMBER and not field.is_knob:
        return _of_whole(field, operator, value)
    return _surely(Q(**_lookup(field, field.path, operator, value)))


def _of_whole(field: Known, operator: str, value: float) -> Q:
    """A column of whole numbers, which is compared with any number."""
    if operator == "=" and not value.is_integer():
        return Q(pk__in=[])
    within = max(-LARGEST, min(LARGEST, value))
    return _surely(Q(**{f"{field.path}__{LOOKUPS[operator]}": within}))


def _of_metric(tree: Comparison, operator: str, metrics: Metrics) -> Q:
    """The metric of this name, or any below it; all the values after ``in`` at once."""
    is_in = operator == "in"
    lookup, value = ("in", tree.values) if is_in else (LOOKUPS[operator], tree.values[0])
    names: dict[str, list[str]] = {}
    for name in metrics.under(tree.name):
        names.setdefault(figure_of(name, tree.figure), []).append(name)
    found = [measured.holding(each, figure, lookup, value)
             for figure, each in names.items() if figure]  # fmt: skip
    return reduce(or_, found, Q(pk__in=[]))


def _lookup(field: Known, path: str, operator: str, value: Any) -> dict[str, Any]:
    lookup = LOOKUPS[operator]
    if field.sort == TEXT and operator == "=":
        lookup = "iexact"
    return {f"{path}__{lookup}": _moment(value) if field.sort == TIME else value}


def _moment(value: datetime | timedelta) -> datetime:
    if isinstance(value, timedelta):
        return timezone.now() - value
    return timezone.make_aware(value) if timezone.is_naive(value) else value


def _is(condition: Q, wanted: bool) -> Q:
    return condition if wanted else ~condition


def _stands(status: str) -> Q:
    held = Q(status=Status.QUEUED, held_at__isnull=False)
    if status == HELD:
        return held
    found = Q(status=status)
    return found & ~held if status == Status.QUEUED else found


def _surely(asked: Q) -> Q:
    """False, and not unknown, where there is no value: so that ``not`` finds those."""
    known = ExpressionWrapper(asked, output_field=BooleanField())
    return Q(Coalesce(known, Value(False)))
