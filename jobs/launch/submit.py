"""From an order to a job: kept as a draft, then in the line of its machine."""

import json
import uuid as uuids
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from compute.models import Machine
from datasets.models import Version
from jobs import events, lifecycle
from jobs.artifacts.inputs import keep_inputs
from jobs.kinds.base import Spec
from jobs.kinds.registry import kind_of
from jobs.models import Job, Status
from jobs.queue import claims, held
from jobs.recipebook.book import find_recipe, reads_samples

FIRST = 1  # the revision of a job that nobody has changed since it was made
RENAMED_FROM = "from "
ANOTHER = (
    "Nothing was started: this form has started {job} already, and was changed since. Send it once "
    "more for a further job."
)


@dataclass(frozen=True)
class Order:
    """What a user asks for, already checked. The same ``uuid`` twice is the same job."""

    owner: User
    name: str
    recipe: str
    spec: Spec
    steps: int | None  # None where the job itself will say how many
    machine: Machine
    uuid: uuids.UUID
    after: Job | None = None
    after_checkpoint: bool = False  # whose model is then what ``after`` has saved
    dataset_version: Version | None = None
    retries: int = 0
    max_seconds: int | None = None
    cloned_from: Job | None = None


class NotSubmitted(Exception):
    """No job was started. The message is a sentence for the user."""


class NotChanged(NotSubmitted):
    """A draft was left as it is."""


class MadeAnother(NotSubmitted):
    """The number of the order is that of a job that was started, and is not what is asked now."""


def submit(order: Order, *, start: bool) -> Job:
    """Keep the job as a draft and, when asked, put it into the queue. Raises ``NotSubmitted``."""
    fields = _fields(order)
    if not start:
        return _kept(order, fields)
    with transaction.atomic():
        held.lock(order.spec, order.machine)
        job = _kept(order, fields)
        enqueue(job, who=order.owner.get_username())
    return job


def _kept(order: Order, fields: dict[str, Any]) -> Job:
    """The same form again: a draft takes what was changed, unless it was changed elsewhere since;
    a job that was started does not."""
    with transaction.atomic():
        job, changed = Job.objects.get_or_create(
            uuid=order.uuid, owner=order.owner, defaults=fields
        )
        if not changed:
            fresh = Job.objects.drafts().filter(pk=job.pk, revision=FIRST)
            changed = bool(fresh.update(**fields))
            job.refresh_from_db()
            if not changed and job.status == Status.DRAFT:
                raise NotChanged(why_not_changed(job))
            if not changed and _is_other(job, order):
                raise MadeAnother(ANOTHER.format(job=f"{job.name} (job {job.pk})"))
        if changed:
            keep_inputs(job, order.after if order.after_checkpoint else None)
    return job


def _is_other(job: Job, order: Order) -> bool:
    """Whether a job that was started is not what is asked for now. Since it was made it may have
    been renamed, and been given the model that it awaited: neither makes it another."""
    made = (job.kind, job.machine_id, _first_name(job), job.after_id, job.dataset_version_id,
            job.retries, job.max_seconds, job.trains_on)  # fmt: skip
    after = order.after.pk if order.after else None
    version = order.dataset_version.pk if order.dataset_version else None
    asked = (order.spec.kind, order.machine.pk, order.name, after, version,
             order.retries, order.max_seconds, order.after_checkpoint)  # fmt: skip
    if made != asked:
        return True
    awaits = order.after_checkpoint
    return _settings(job.spec_of_kind, awaits) != _settings(order.spec, awaits)


def _first_name(job: Job) -> str:
    renamed = job.events.of_platform().filter(kind=events.RENAMED).first()
    return renamed.message.removeprefix(RENAMED_FROM) if renamed else job.name


def _settings(spec: Spec, awaits_model: bool) -> dict[str, Any]:
    """As the row has them, without the model where another job has yet to make it."""
    kind = kind_of(spec)
    placed = kind.placed(spec, {kind.base_model: ""}) if awaits_model else spec
    kept: dict[str, Any] = json.loads(json.dumps(placed.to_json()))
    return kept


def change(job: Job, order: Order, *, revision: int, who: str) -> None:
    """Give a draft what its form says now, if it still is as it was when the form was opened:
    ``revision`` is what it had then. Raises ``NotChanged``."""
    fields = _fields(order)
    del fields["recipe"], fields["cloned_from"]  # what it began with
    before = job.spec
    with transaction.atomic():
        same = Job.objects.drafts().filter(pk=job.pk, revision=revision)
        changed = same.update(revision=F("revision") + 1, **fields)
        job.refresh_from_db()
        if not changed:
            raise NotChanged(why_not_changed(job))
        keep_inputs(job, order.after if order.after_checkpoint else None)
        lifecycle.record(job, events.EDITED, who=who, message=_differing(before, job.spec))


def _differing(before: dict[str, Any], after: dict[str, Any]) -> str:
    """The names of the settings that are not as they were."""
    old, new = before.get("values", {}), after.get("values", {})
    names = sorted(name for name in old | new if old.get(name) != new.get(name))
    names += ["further overrides"] if before.get("overrides") != after.get("overrides") else []
    return ", ".join(names)


def why_not_changed(job: Job) -> str:
    if job.deleting_at:
        return f"{job.name} is being deleted."
    if job.status != Status.DRAFT:
        return (
            f"{job.name} is {job.stands}: only a draft can be changed. A clone of it begins with "
            "its settings."
        )
    last = job.events.of_platform().filter(kind__in=(events.EDITED, events.RENAMED)).last()
    when = timezone.localtime(last.at).strftime(" at %H:%M:%S") if last else ""
    who = f" by {last.who}" if last and last.who else ""
    return f"Nothing was saved: this draft was changed{who}{when}, after this form was opened."


def drafted(order: Order) -> Job:
    """The job that this order would make; it is not kept."""
    return Job(uuid=order.uuid, owner=order.owner, **_fields(order))


def _fields(order: Order) -> dict[str, Any]:
    recipe = find_recipe(order.recipe, order.owner)
    return {
        "name": order.name,
        "recipe": order.recipe,
        "kind": order.spec.kind,
        "spec": order.spec.to_json(),
        "steps": order.steps,
        "machine": order.machine,
        "after": order.after,
        "gpus": kind_of(order.spec).devices(order.spec),
        "dataset_version": order.dataset_version,
        "retries": order.retries,
        "max_seconds": order.max_seconds,
        "cloned_from": order.cloned_from,
        "is_sample": bool(recipe and recipe.is_sample) and reads_samples(order.spec),
    }


def enqueue(job: Job, *, who: str) -> bool:
    """Let a job join the line of its machine, where it is its owner's turn; false when it is no
    draft any more. Raises ``NotSubmitted`` where what it reads is being deleted."""
    with transaction.atomic():
        held.lock(job.spec_of_kind, job.machine)
        if job.can_start and (reason := held.being_deleted(job.spec_of_kind, job.machine)):
            raise NotSubmitted(reason)
        queued = lifecycle.move(
            job, Status.QUEUED, only_from=(Status.DRAFT,), who=who, **claims.joining()
        )
        if queued:
            claims.take_turn(job)
    return queued


def rename(job: Job, name: str, *, who: str) -> None:
    if name != job.name:
        lifecycle.record(job, events.RENAMED, who=who, message=RENAMED_FROM + job.name)
        lifecycle.touch(job, name=name)
