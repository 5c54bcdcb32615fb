"""Keep the best checkpoints and the newest resumable one, and delete the rest."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from jobs.artifacts.refusals import Judge, newest_whole
from jobs.artifacts.together import delete_all
from jobs.models import Place
from surgery.choice.candidate import Choice
from surgery.choosing.table import Row, Table

MOST_AT_ONCE = 500  # that are shown and go


class Changed(Exception):
    """What was previewed is not what would be deleted now. The message is for the user."""


@dataclass(frozen=True)
class Kept:
    row: Row
    why: str  # a sentence


@dataclass(frozen=True)
class Goes:
    row: Row
    place: Place
    lost: Sequence[str]  # sentences


@dataclass(frozen=True)
class Plan:
    """``later`` counts what would go as well, and is left for the next time."""

    kept: Sequence[Kept]
    rest: Sequence[Goes]
    later: int = 0

    @property
    def freed(self) -> int:
        """Bytes, of those whose size is known."""
        return sum(each.row.saved.artifact.size or 0 for each in self.rest)

    @property
    def unsized(self) -> int:
        return sum(each.row.saved.artifact.size is None for each in self.rest)

    @property
    def digest(self) -> str:
        """Of all that is said of what goes: it changes when that does."""
        said = [(each.place.pk, each.row.saved.artifact.size, *each.lost) for each in self.rest]
        return hashlib.sha256(json.dumps([said, self.later]).encode()).hexdigest()


def plan(table: Table, choice: Choice, best: int) -> Plan:
    """What stays, and why, and what goes, where the ``best`` of a choice are kept (one at least).

    Nothing goes where nothing is chosen: by an unknown value no checkpoint is worse than another.
    """
    ranks = {each.key: rank for rank, each in enumerate(choice.ranking[: max(1, best)], 1)}
    newest = {
        job.pk: newest_whole(job) for job in {row.job.pk: row.job for row in table.rows}.values()
    }
    places = Place.objects.select_related("machine", "artifact__job").in_bulk(
        [row.saved.place for row in table.rows]
    )
    judge = Judge(list(places.values()))
    unknown = {each.key: why for each, why in choice.unknown}
    kept, rest = list[Kept](), list[Goes]()
    for row in table.rows:
        place = places.get(row.saved.place)
        if place is None:
            continue
        why = _ranked(ranks.get(row.candidate.key)) if choice.chosen else "Nothing is chosen."
        why = why or unknown.get(row.candidate.key, "")
        if not why and row.saved.artifact.pk == newest.get(row.job.pk):
            why = "It is the newest that the run can be resumed from."
        if why := why or judge.why_not(place):
            kept.append(Kept(row, why))
        else:
            rest.append(Goes(row, place, judge.warnings(place)))
    return Plan(kept, rest[:MOST_AT_ONCE], len(rest[MOST_AT_ONCE:]))


def _ranked(rank: int | None) -> str:
    if rank is None:
        return ""
    return "It is the chosen one." if rank == 1 else f"It is number {rank} by the criterion."


def carry_out(planned: Plan, seen: str, *, who: str) -> list[str]:
    """Have deleted what was previewed; ``seen`` is the digest of that. Gives what was refused
    meanwhile, in sentences. Raises ``Changed``, and deletes nothing, where the plan is another by
    now."""
    if seen != planned.digest:
        raise Changed(
            "Nothing was deleted: what would be deleted, or what is said of it, has changed since "
            "this page was opened. Look at the list once more."
        )
    asked = delete_all([each.place.pk for each in planned.rest], who=who, sure=True)
    return [f"The {place.artifact} is not deleted. {reason}" for place, reason in asked.refused]
