"""The greatest value of a metric, which jobs ask for (see ``jobs.measured``)."""

from collections.abc import Collection, Mapping

from django.db.models import Max

from monitoring.models import Point


def greatest_of(job_ids: Collection[int], metric: str) -> Mapping[int, float]:
    found = Point.objects.filter(job__in=job_ids, series__name=metric, value__isnull=False)
    return dict(found.order_by().values_list("job").annotate(greatest=Max("value")))
