"""Write down what jobs made and where it lies. Nothing here looks at a disk."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any

from django.db import transaction
from django.utils import timezone

from compute.models import Machine
from jobs.kinds.base import ADAPTER, CHECKPOINTS, MODEL, REPORT, Product
from jobs.models import Artifact, Job, Place
from jobs.verl.checkpoints import STEP_DIR, Checkpoint

UNFINISHED = "It is being written, or its writing was cut off."
KINDS = {
    MODEL: Artifact.Kind.HUGGINGFACE,
    ADAPTER: Artifact.Kind.ADAPTER,
    REPORT: Artifact.Kind.REPORT,
}
AT_ONCE = 1000  # paths, of which a database is asked
LISTED = ("size", "made_at", "is_whole", "fault", "examined_at", "has_model")


@dataclass(frozen=True)
class Found:
    """A checkpoint on the job's machine: ``folder`` is its absolute path there."""

    attempt: int
    folder: str
    facts: Checkpoint


def keep_checkpoints(job: Job, found: Sequence[Found]) -> None:
    """Let the rows of a job's checkpoints say what was found on its machine just now.

    Those that were not found are noted as gone. Those that somebody had deleted stay so, unless
    they were written anew since.
    """
    now = timezone.now()
    with transaction.atomic():
        artifacts = _listed(job, found)
        pairs = [(artifacts[each.attempt, each.facts.path], each) for each in found]
        missing = [(artifact, each) for artifact, each in pairs if artifact.pk is None]
        Artifact.objects.bulk_create((artifact for artifact, _ in missing), ignore_conflicts=True)
        if missing:  # their keys, whoever wrote them first
            artifacts = _known(job)
        placed = [(artifacts[each.attempt, each.facts.path], each) for each in found]
        _keep_places(job, placed, now)


def _listed(job: Job, found: Iterable[Found]) -> dict[tuple[int | None, str], Artifact]:
    """The artifact of each, with what was found of it; those that are new have no key yet."""
    known, changed = _known(job), []
    for each in found:
        artifact = known.get((each.attempt, each.facts.path))
        if artifact is None:
            known[each.attempt, each.facts.path] = artifact = _new(job, each)
            _take_facts(artifact, each.facts)
        elif _take_facts(artifact, each.facts):
            changed.append(artifact)
    Artifact.objects.bulk_update(changed, LISTED, batch_size=500)
    return known


def _known(job: Job) -> dict[tuple[int | None, str], Artifact]:
    rows = Artifact.objects.filter(job=job, kind=Artifact.Kind.CHECKPOINT)
    return {(artifact.attempt, artifact.name): artifact for artifact in rows}


def _new(job: Job, found: Found) -> Artifact:
    return Artifact(
        kind=Artifact.Kind.CHECKPOINT, name=found.facts.path, owner_id=job.owner_id, job=job,
        attempt=found.attempt, step=found.facts.step,
    )  # fmt: skip


def _take_facts(artifact: Artifact, facts: Checkpoint) -> bool:
    """Let the row say what the listing says; true when that is anything new."""
    same = (artifact.size, artifact.made_at) == (facts.size, facts.modified)
    if same and artifact.examined_at:
        return False  # whoever looked into its files knows more than their names tell
    told = {
        "size": facts.size, "made_at": facts.modified, "is_whole": facts.complete,
        "fault": "" if facts.complete else UNFINISHED, "examined_at": None,
        "has_model": facts.has_hf,
    }  # fmt: skip
    changed = any(getattr(artifact, name) != value for name, value in told.items())
    for name, value in told.items():
        setattr(artifact, name, value)
    return changed


def _keep_places(job: Job, placed: Sequence[tuple[Artifact, Found]], now: datetime) -> None:
    rows = Place.objects.filter(artifact__job=job, artifact__kind=Artifact.Kind.CHECKPOINT)
    known = {place.path: place for place in rows.filter(machine=job.machine)}
    new = [
        Place(artifact=artifact, machine=job.machine, path=each.folder, seen_at=now)
        for artifact, each in placed
        if each.folder not in known
    ]
    Place.objects.bulk_create(new, ignore_conflicts=True)
    written = {each.folder: each.facts.modified for _, each in placed}
    seen = [place.pk for path, place in known.items() if _is_seen(place, written.get(path))]
    Place.objects.filter(pk__in=seen).update(seen_at=now, gone_at=None, gone_by="")
    gone = [place.pk for path, place in known.items() if path not in written]
    Place.objects.there().filter(pk__in=gone).update(gone_at=now)


def _is_seen(place: Place, written: datetime | None) -> bool:
    if written is None:
        return False
    return not place.gone_by or place.gone_at is None or written > place.gone_at


def keep_verdict(artifact: Artifact, faults: Sequence[str]) -> None:
    """What was found when the files of a checkpoint were looked into: sentences, or none."""
    artifact.is_whole, artifact.fault = not faults, " ".join(faults)
    artifact.examined_at = timezone.now()
    artifact.save(update_fields=["is_whole", "fault", "examined_at"])


def keep_made(
    job: Job,
    kind: Artifact.Kind,
    name: str,
    path: str,
    *,
    machine: Machine | None = None,
    attempt: int | None = None,
    **facts: object,
) -> Artifact:
    """What a job made, other than checkpoints: ``name`` is its path below the run directory and
    ``path`` the whole one, on the job's machine or the one that is named."""
    told = {"kind": kind, "owner_id": job.owner_id, "is_whole": True, "fault": "", **facts}
    artifact, _ = Artifact.objects.update_or_create(
        job=job,
        attempt=attempt or job.attempt,
        name=name,
        defaults=told,
        create_defaults={**told, "made_at": timezone.now()},
    )
    keep_place(artifact, machine or job.machine, path)
    return artifact


def keep_products(job: Job, said: Mapping[str, Mapping[str, Any]]) -> None:
    """Write down what a completed job made, but for its checkpoints and what lies within these.

    ``said`` is the data of the last event of each kind that the job told.
    """
    for product in _apart(job):
        path = f"{job.run_dir}/{product.path}"
        told = job.job_kind.measured(product, said)
        keep_made(
            job, KINDS[product.sort], product.path, path,
            size=told.size, digest=told.digest, has_model=product.sort == MODEL,
        )  # fmt: skip


def _apart(job: Job) -> list[Product]:
    """What a job makes, but for its checkpoints and what lies within these."""
    products = job.job_kind.makes(job.spec_of_kind)
    saved = tuple(f"{product.path}/" for product in products if product.sort == CHECKPOINTS)
    return [each for each in products if each.sort in KINDS and not each.path.startswith(saved)]


def keep_promised(job: Job, attempt: int, inside: str) -> Artifact | None:
    """What a job saves or makes in a folder, as far as nobody has looked: the listing, or the end
    of the job, then says the rest of the same row. ``inside`` is a path below the run directory,
    of the folder or in it; None where the job makes nothing there."""
    top, _, rest = inside.partition("/")
    step = STEP_DIR.fullmatch(rest.partition("/")[0])
    if top == CHECKPOINTS and step:
        name, kind = f"{top}/{step[0]}", Artifact.Kind.CHECKPOINT
    elif made := next((each for each in _apart(job) if each.path == top), None):
        name, kind = top, KINDS[made.sort]
    else:
        return None
    facts = {
        "kind": kind, "owner_id": job.owner_id, "step": int(step[1]) if step else None,
        "made_at": timezone.now(), "is_whole": False, "fault": UNFINISHED,
    }  # fmt: skip
    found, _ = Artifact.objects.get_or_create(job=job, attempt=attempt, name=name, defaults=facts)
    return found


def keep_place(artifact: Artifact, machine: Machine, path: str) -> Place:
    """It was seen there just now."""
    fresh = {"seen_at": timezone.now(), "gone_at": None, "gone_by": ""}
    place, _ = Place.objects.update_or_create(
        artifact=artifact, machine=machine, path=path, defaults=fresh
    )
    return place


def note_gone(machine: Machine, path: str) -> bool:
    """Somebody looked for it there, and it is not there any more; false when that was known."""
    places = Place.objects.there().filter(machine=machine, path=path)
    return bool(places.update(gone_at=timezone.now()))


def artifact_at(path: str, machines: Mapping[int, Machine]) -> Artifact | None:
    """The artifact that a path names, or lies within, on any of these machines."""
    return artifacts_at([path], machines).get(path)


def called(path: str, machine: Machine) -> str:
    """What a model is called in a job's name: by the job that made it, or by its folder."""
    artifact = artifact_at(path, {machine.pk: machine})
    if artifact is None or artifact.job is None:
        return PurePosixPath(path).name[:80]
    step = f", step {artifact.step}" if artifact.step is not None else ""
    return f"{artifact.job.name[:70]}{step}"


def artifacts_at(paths: Iterable[str], machines: Mapping[int, Machine]) -> dict[str, Artifact]:
    """For each of the paths the artifact that it names or lies within, where there is one."""
    within = {path: _around(path) for path in paths}
    known = dict[str, Artifact]()
    there = Place.objects.there().filter(machine__in=list(machines))
    for some in _at_once(within.values()):
        for place in there.filter(path__in=some).select_related("artifact"):
            known.setdefault(place.path, place.artifact)
    nearest = {path: [one for one in each if one in known] for path, each in within.items()}
    return {path: known[found[0]] for path, found in nearest.items() if found}


def gone_of(places: Iterable[tuple[str, int | None]]) -> set[tuple[str, int | None]]:
    """Of paths, each with the key of its machine, those that are gone: of the places at the path
    or around it, the nearest that is known says so."""
    within = {(path, machine): _around(path) for path, machine in places}
    is_there = dict[tuple[str, int | None], bool]()
    for some in _at_once(within.values()):
        rows = Place.objects.filter(path__in=some).values_list("path", "machine", "gone_at")
        for path, on, gone_at in rows:
            is_there[path, on] = is_there.get((path, on), False) or gone_at is None
    found = set[tuple[str, int | None]]()
    for (path, machine), each in within.items():
        known = (is_there[one, machine] for one in each if (one, machine) in is_there)
        if not next(known, True):
            found.add((path, machine))
    return found


def _around(path: str) -> list[str]:
    """The path and those in which it lies, from the nearest on."""
    return [path, *map(str, PurePosixPath(path).parents)]


def _at_once(paths: Iterable[Iterable[str]]) -> Iterator[list[str]]:
    """All of the paths, each once, as many together as a database is asked of."""
    asked = sorted({one for each in paths for one in each})
    for start in range(0, len(asked), AT_ONCE):
        yield asked[start : start + AT_ONCE]
