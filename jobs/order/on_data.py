"""From a version of a data set to the form of a job that trains on it."""

from collections.abc import Iterable
from typing import Any

from django.urls import reverse

from datasets.elsewhere import Link
from datasets.models import Version
from jobs.order.shelf import Offer
from platform_site.fields import asked_key


def link_of(version: Version) -> Link:
    url = f"{reverse('jobs:new')}?dataset={version.pk}"
    return Link("Train", "Train on this", url)


def version_asked(text: str) -> Version | None:
    """The version of an address, if it is there and ready."""
    if (key := asked_key(text)) is None:
        return None
    return Version.objects.ready().select_related("dataset").filter(pk=key).first()


def fitting(offers: Iterable[Offer], version: Version | None) -> list[Offer]:
    """Those whose kind of job reads such data; all of them without a version."""
    return [one for one in offers if version is None or one.recipe.target == version.target]


def values_of(version: Version) -> dict[str, Any]:
    """What the form is filled with."""
    return {
        "dataset": version.pk,
        "train_files": version.train_file,
        "val_files": version.val_file,
    }
