"""What is known of the attempts of a job: as its page, its command and comparisons have it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from django.conf import settings

from jobs.models import Job, Provenance
from jobs.process import Command
from jobs.trackers import accounts
from jobs.verl import configtree, schema
from jobs.verl.configtree import Keys, Leaf
from jobs.verl.releases import RELEASES

Part = Provenance.Part
TOLD = (Part.SOFTWARE, Part.HARDWARE, Part.CONFIG)
VERL = "verl"


@dataclass(frozen=True)
class Attempt:
    """One attempt. Each part is empty where nothing was told of it; no secret is in any."""

    job: Job
    number: int
    platform: Mapping[str, Any] = field(default_factory=dict)
    software: Mapping[str, Any] = field(default_factory=dict)
    hardware: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)  # as Hydra has it
    config_name: str = ""
    cut: tuple[str, ...] = ()  # the parts of which not everything is kept

    @property
    def is_told(self) -> bool:
        """Whether the run itself told anything."""
        return bool(self.software or self.hardware or self.config)

    @property
    def packages(self) -> dict[str, str]:
        """Versions by name."""
        return {name: str(version) for name, version in part(self.software, "packages").items()}

    @property
    def release(self) -> str:
        """The release of verl whose defaults are meant: the one that ran, where it was told."""
        told = self.packages.get(VERL, "")
        return next((one for one in RELEASES if told == one), "") or str(self.job.verl)

    @cached_property
    def keys(self) -> Keys | None:
        """Verl's keys with their defaults; None where this release has no dump of them."""
        try:
            found = schema.load(settings.TRAINYARD_VERL_SCHEMA, self.job.kind, self.release)
        except (OSError, KeyError, ValueError):
            return None
        return found.keys if found.config == self.config_name else None

    @cached_property
    def leaves(self) -> list[Leaf]:
        command = Command.from_json(self.job.command) if self.job.command else None
        origins = {each.key: each.origin for each in command.settings} if command else {}
        return configtree.leaves_of(self.config, self.keys, origins)


def part(data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """What is below a name; a run may have told anything there."""
    found = data.get(name)
    return found if isinstance(found, Mapping) else {}


def word(data: Mapping[str, Any], name: str) -> str:
    """What is told by a name, as text; empty for none, and for what is no word."""
    found = data.get(name)
    return str(found) if isinstance(found, str | int | float) else ""


def whole(data: Mapping[str, Any], name: str) -> int | None:
    found = data.get(name)
    return found if type(found) is int and found >= 0 else None


def attempts_of(job: Job, without: str = "") -> dict[int, Attempt]:
    """All attempts of which anything is known, by their number; one part may be left out."""
    return _attempts(job, job.provenance.exclude(part=without))


def configs_of(jobs: Sequence[Job]) -> dict[int, Attempt]:
    """By job, the newest attempt that told its configuration."""
    rows: dict[int, list[Provenance]] = {}
    wanted = (Part.CONFIG, Part.SOFTWARE)
    for row in Provenance.objects.filter(job__in=jobs, part__in=wanted):
        rows.setdefault(row.job_id, []).append(row)
    found = {job.pk: _attempts(job, rows.get(job.pk, ())) for job in jobs}
    told = {pk: [each for each in all_.values() if each.config] for pk, all_ in found.items()}
    return {pk: attempts[-1] for pk, attempts in told.items() if attempts}


def _attempts(job: Job, rows: Iterable[Provenance]) -> dict[int, Attempt]:
    told: dict[int, dict[str, dict[str, Any]]] = {}
    secrets = accounts.secret_values(job)
    for row in rows:
        data = row.data if isinstance(row.data, dict) else {}
        told.setdefault(row.attempt, {})[row.part] = configtree.masked(data, secrets)
    if recorded := job.job_kind.recorded(job.spec_of_kind):
        told[job.attempt] = {Part.CONFIG: configtree.masked({"config": recorded}, secrets)}
    return {number: _attempt(job, number, parts) for number, parts in sorted(told.items())}


def _attempt(job: Job, number: int, told: Mapping[str, dict[str, Any]]) -> Attempt:
    config = told.get(Part.CONFIG, {})
    return Attempt(
        job,
        number,
        platform=told.get(Part.PLATFORM, {}),
        software=told.get(Part.SOFTWARE, {}),
        hardware=told.get(Part.HARDWARE, {}),
        config=part(config, "config"),
        config_name=word(config, "name"),
        cut=tuple(name for name in TOLD if told.get(name, {}).get("left_out")),
    )


def newest_of(job: Job) -> Attempt:
    """The newest attempt of which anything is known, without its configuration."""
    known = attempts_of(job, without=Part.CONFIG)
    return known[max(known)] if known else Attempt(job, job.attempt)


def why_unknown(attempt: Attempt) -> str:
    """Why the run told nothing, in a sentence; empty where it did."""
    job = attempt.job
    if job.job_kind.ran_elsewhere:
        return (
            "This run was recorded elsewhere and imported: its packages and its hardware are "
            "unknown, and its configuration but for what its tool wrote down."
        )
    if attempt.is_told:
        return ""
    if job.started_at is None and attempt.number == 1 and not attempt.platform:
        return "It has not started. At its start the run tells what it was made with."
    if job.is_active:
        return "The run has told nothing yet: it does within seconds of its start."
    return (
        "The run told nothing of its configuration, packages and hardware: it was started before "
        "Trainyard kept them, by a machine whose node package is older, or it never began."
    )
