"""Why a job may not read what a path names: it is somebody else's, or it is being deleted."""

import posixpath
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from uuid import UUID

from django.contrib.auth.models import User
from django.db.models import Q

from compute.models import Machine
from compute.runners import removing
from jobs.artifacts.finding import ways
from jobs.artifacts.keeping import AT_ONCE, artifacts_at
from jobs.models import Artifact, Job, Place, Removal
from platform_site.work.models import BUSY, silent

# The folders of a run, wherever the machine keeps its runs, and of what was brought here of one.
OF_JOB = re.compile(rf"/(?:runs|fetched)/({removing.UUID})(?:/|$)")


def unreadable(paths: Iterable[str], machines: Mapping[int, Machine], user: User) -> dict[str, str]:
    """For each of the paths that the user's job must not read on these machines, a sentence."""
    found = _Named.by(paths, machines)
    theirs = {path: f"There is no model of yours at {path}." for path in _theirs(found, user)}
    return _going(found) | theirs


def going(paths: Iterable[str], machines: Mapping[int, Machine]) -> dict[str, str]:
    """For each of the paths that are being deleted, or lie in what is, a sentence."""
    return _going(_Named.by(paths, machines))


@dataclass
class _Named:
    """``written`` has for each path the other ways to write it; ``runs`` the number of the run that
    it lies in, whether or not what lies there was listed yet."""

    machines: Mapping[int, Machine]
    written: dict[str, list[str]] = field(default_factory=dict)
    runs: dict[str, UUID] = field(default_factory=dict)

    @classmethod
    def by(cls, paths: Iterable[str], machines: Mapping[int, Machine]) -> "_Named":
        made = cls(machines)
        for path in paths:
            written = [way for way, _ in ways(path, machines)]
            plain = posixpath.normpath(path).replace("//", "/")
            made.written[path] = list(dict.fromkeys([plain, *written]))
            for way in made.written[path]:
                if run := OF_JOB.search(way):
                    made.runs[path] = UUID(run[1])
        return made


def _theirs(found: _Named, user: User) -> set[str]:
    """What somebody's job made, or is making, is theirs; a folder that was brought is nobody's."""
    every = [way for written in found.written.values() for way in written]
    known = {
        path: each for path, each in artifacts_at(every, found.machines).items() if each.job_id
    }
    mine = Artifact.objects.visible_to(user).filter(pk__in={each.pk for each in known.values()})
    own = set(mine.values_list("pk", flat=True))
    listed = {
        path
        for path, written in found.written.items()
        if any(way in known and known[way].pk not in own for way in written)
    }
    runs = Job.objects.filter(uuid__in=set(found.runs.values()))
    others = set(runs.exclude(pk__in=runs.visible_to(user)).values_list("uuid", flat=True))
    return listed | {path for path, run in found.runs.items() if run in others}


def _going(found: _Named) -> dict[str, str]:
    within = {path: {one for way in written for one in _above(way)}
              for path, written in found.written.items()}  # fmt: skip
    asked = _asked_for(set().union(*within.values()), found.machines)
    runs = Job.objects.filter(uuid__in=set(found.runs.values()), deleting_at__isnull=False)
    jobs = {run.uuid: run.pk for run in runs}
    told = {
        path: f"{path} is being deleted: {asked[hit]} asked for it."
        for path, above in within.items()
        for hit in above & asked.keys()
    }
    return told | {
        path: f"{path} is being deleted with job {jobs[run]}."
        for path, run in found.runs.items()
        if run in jobs
    }


def _asked_for(paths: Iterable[str], machines: Mapping[int, Machine]) -> dict[str, str]:
    """Which of the paths are being emptied, and who asked for it. A deletion whose process died
    does not go on: what it left may be read."""
    places, every = Place.objects.filter(machine__in=list(machines)), sorted(paths)
    emptying = Q(removals__in=Removal.objects.filter(state__in=BUSY).exclude(silent()))
    going = places.filter(emptying | Q(artifact__job__deleting_at__isnull=False))
    asked = dict[str, str]()
    for start in range(0, len(every), AT_ONCE):
        some = going.filter(path__in=every[start : start + AT_ONCE])
        asked |= dict(some.values_list("path", "gone_by"))
    return asked


def _above(path: str) -> list[str]:
    return [path, *map(str, PurePosixPath(path).parents)]
