"""The folders that a form of surgery offers: models and checkpoints that jobs made."""

from collections.abc import Collection

from django.contrib.auth.models import User
from django.db.models import Q

from jobs.models import Artifact, Place
from platform_site.fields import asked_key

OFFERED = 200  # folders, the newest
LONGEST_PATH = 1000  # characters
MODEL, CHECKPOINT, ADAPTER = (
    Artifact.Kind.HUGGINGFACE, Artifact.Kind.CHECKPOINT, Artifact.Kind.ADAPTER,
)  # fmt: skip
MODELS = (MODEL,)
SAVED = (MODEL, CHECKPOINT)


def offered(
    user: User, kinds: Collection[str] = MODELS, *, also: Collection[str] = (), job: int = 0
) -> list[Place]:
    """Where whole artifacts of these kinds lie that the user may read, the newest first.

    ``also`` are paths that are offered whatever their age. With ``job``, only those of that job
    are, and these.
    """
    mine = Artifact.objects.visible_to(user).filter(kind__in=kinds, is_whole=True)
    places = Place.objects.there().filter(artifact__in=mine, path__startswith="/")
    rows = places.select_related("artifact__job", "machine").order_by("-pk")
    newest = list((rows.filter(artifact__job=job) if job else rows)[:OFFERED])
    known = {place.path for place in newest}
    more = [path for path in also if path not in known and _can_be_a_path(path)][:OFFERED]
    return [*rows.filter(path__in=more), *newest] if more else newest


def with_adapters(user: User, *, also: Collection[str] = ()) -> list[Place]:
    """The folders that have an adapter: adapters, and exports that kept theirs."""
    kept = [
        place
        for place in offered(user, (MODEL,), also=also)
        if place.artifact.job and place.artifact.job.spec.get("keep_adapter") is True
    ]
    return [*offered(user, (ADAPTER,), also=also), *kept]


def chosen(user: User, artifacts: Collection[str]) -> list[Place]:
    """Where the artifacts lie that an address names by their ids, in its order."""
    keys = [key for text in artifacts if (key := asked_key(text)) is not None]
    ids = list(dict.fromkeys(keys))[:OFFERED]
    mine = Artifact.objects.visible_to(user).filter(pk__in=ids, is_whole=True)
    places = Place.objects.there().filter(Q(artifact__in=mine), path__startswith="/")
    first = dict[int, Place]()
    for place in places.select_related("artifact__job", "machine").order_by("pk"):
        first.setdefault(place.artifact_id, place)
    return [first[pk] for pk in ids if pk in first]


def _can_be_a_path(text: str) -> bool:
    """Whether a database can be asked for it: PostgreSQL takes no NUL."""
    return text.startswith("/") and "\0" not in text and len(text) <= LONGEST_PATH


def words(place: Place) -> str:
    """A folder as a list names it."""
    artifact = place.artifact
    of = f"{artifact.job.name} (job {artifact.job_id})" if artifact.job else "brought"
    return f"{artifact.label}, {of}, on {place.machine}: {place.path}"
