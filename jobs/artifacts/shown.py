"""Which artifacts a list shows, and what of an artifact goes to pages and commands."""

from collections.abc import Mapping
from typing import Any

from django.db.models import F, QuerySet
from django.urls import reverse

from datasets.elsewhere import Link
from datasets.models import Version
from jobs.models import Artifact, ArtifactQuerySet, Place
from platform_site.counts import size_text

SORTS = {
    "kind": ("kind",),
    "name": ("name",),
    "job": ("job",),
    "step": ("step",),
    "size": ("size",),
    "made_at": ("made_at",),
}
STATES = {"there": "There", "broken": "Not whole", "pinned": "Pinned", "gone": "Gone"}
FILTERS = ("kind", "job", "machine", "state", "q")


def filtered(artifacts: ArtifactQuerySet, wanted: Mapping[str, str]) -> ArtifactQuerySet:
    """A value that is none leaves the list as it is."""
    if wanted["kind"] in Artifact.Kind.values:
        artifacts = artifacts.filter(kind=wanted["kind"])
    if (job := _number(wanted["job"])) is not None:
        artifacts = artifacts.filter(job=job)
    if (machine := _number(wanted["machine"])) is not None:
        on = Place.objects.there().filter(machine=machine)
        artifacts = artifacts.filter(pk__in=on.values("artifact"))
    if wanted["q"]:
        artifacts = artifacts.filter(name__icontains=wanted["q"])
    return _in_state(artifacts.with_state(), wanted["state"])


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def _in_state(artifacts: ArtifactQuerySet, state: str) -> ArtifactQuerySet:
    if state == "pinned":
        return artifacts.filter(pinned_at__isnull=False)
    if state == "broken":
        return artifacts.there().filter(is_whole=False)
    if state == "there":
        return artifacts.there()
    return artifacts.gone() if state == "gone" else artifacts


def in_order(artifacts: ArtifactQuerySet, sort: str) -> QuerySet[Artifact]:
    """Those without a value last, which databases put where they like."""
    fields = [F(name) for name in SORTS[sort.removeprefix("-")]]
    down = sort.startswith("-")
    order = [
        field.desc(nulls_last=True) if down else field.asc(nulls_last=True) for field in fields
    ]
    return artifacts.order_by(*order, "-pk")


def as_json(artifact: Artifact) -> dict[str, Any]:
    return {
        "id": artifact.pk,
        "kind": artifact.kind,
        "name": artifact.name,
        "job": artifact.job_id,
        "attempt": artifact.attempt,
        "step": artifact.step,
        "bytes": artifact.size,
        "sha256": artifact.digest or None,
        "is_whole": artifact.is_whole,
        "fault": artifact.fault,
        "pinned_by": artifact.pinned_by or None,
        "made_at": artifact.made_at and artifact.made_at.isoformat(),
        "places": [place_json(place) for place in artifact.places.all()],
    }


def place_json(place: Place) -> dict[str, Any]:
    return {
        "id": place.pk,
        "machine": place.machine.name,
        "path": place.path,
        "seen_at": place.seen_at.isoformat(),
        "gone_at": place.gone_at and place.gone_at.isoformat(),
        "gone_by": place.gone_by or None,
    }


def in_a_line(artifact: Artifact) -> str:
    size = size_text(artifact.size) if artifact.size is not None else "?"
    of = f"job {artifact.job_id}" if artifact.job_id else "brought"
    there = ", ".join(str(place.machine) for place in artifact.places.all() if not place.gone_at)
    pin = f", pinned by {artifact.pinned_by}" if artifact.is_pinned else ""
    whole = "" if artifact.is_whole else " (not whole)"
    head = f"{artifact.pk:>6}  {artifact.kind:<11} {of:<10} {size:>12}"
    return f"{head}  {artifact.label}{whole}, {there or 'gone'}{pin}"


def link_of(version: Version) -> Link:
    """For the page of a data set's version."""
    url = reverse("artifacts:of_version", args=[version.pk])
    return Link("Made from it", "Its lineage", url)
