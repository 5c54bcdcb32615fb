"""Starts, stops and resumes chains."""

import uuid as uuids
from collections.abc import Iterable

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from compute.machines.local import local_machine
from compute.models import Machine
from evaluations.chains.advancing import parts_of
from evaluations.chains.checking import Checked, check
from evaluations.chains.models import LONGEST_NAME, Chain, ChainRecipe, Part
from evaluations.steps.reading import ChainError, read_chain
from jobs import resuming
from jobs.launch import end
from jobs.models import Status
from jobs.work import later


class NotStarted(Exception):
    """No chain was started, or changed. The message is a sentence, or one on each line."""


def checked(text: str, owner: User, machine: Machine | None = None) -> Checked:
    """What the recipe says, and all that speaks against its start. Raises ``NotStarted`` where it
    cannot be read."""
    try:
        recipe = read_chain(text)
    except ChainError as error:
        raise NotStarted(str(error)) from error
    return check(recipe, machine or machine_named(recipe.machine), owner)


def machine_named(name: str) -> Machine:
    """The machine of a recipe; without a name, this one. Raises ``NotStarted``."""
    if not name:
        return local_machine()
    found = Machine.objects.for_jobs().filter(name=name).first()
    if found is None:
        raise NotStarted(f"There is no machine {name} that takes jobs.")
    return found


def start(
    text: str, owner: User, *, machine: Machine | None = None, name: str = "",
    uuid: uuids.UUID | None = None, kept: ChainRecipe | None = None,
) -> Chain:  # fmt: skip
    """Start a chain. The same ``uuid`` twice is the same chain. Raises ``NotStarted``."""
    number = uuid or uuids.uuid4()
    made = Chain.objects.filter(owner=owner, uuid=number).first()
    if made is None:
        found = checked(text, owner, machine)
        if found.problems:
            raise NotStarted("\n".join(map(str, found.problems)))
        with transaction.atomic():
            facts = {"name": (name or found.recipe.name)[:LONGEST_NAME], "text": text,
                     "machine": found.machine, "kept": kept}  # fmt: skip
            made, _ = Chain.objects.get_or_create(owner=owner, uuid=number, defaults=facts)
            later("evaluations.chains.tasks.advance", made.pk)
    if made.text != text:
        raise NotStarted(
            f"Nothing was started: this form has started the chain {made} already, and was changed "
            "since. Send it once more for another chain."
        )
    return made


def stop(chain: Chain, *, who: str) -> bool:
    """Stop a chain and the jobs of it that run or wait; false where it had ended."""
    running = Chain.objects.filter(pk=chain.pk, state=Chain.State.RUNNING)
    reason = f"Stopped by {who}."
    stopped = running.update(state=Chain.State.STOPPED, reason=reason, ended_at=timezone.now())
    chain.refresh_from_db()
    for part in chain.parts.select_related("job__machine"):
        if part.job and not part.is_done and part.job.is_underway:
            end.stop(part.job, who=who)
    return bool(stopped)


def resume(chain: Chain, *, who: str) -> bool:
    """Let a chain go on that failed or was stopped; false where it runs, or was completed.

    What is done stays. A job that ended early goes on where it can, and is made anew where not;
    what was decided against is decided again. Raises ``NotStarted``.
    """
    ends = (Chain.State.FAILED, Chain.State.STOPPED)
    parts = [part for each in parts_of(chain).values() for part in each]
    with transaction.atomic():
        waiting = Chain.objects.filter(pk=chain.pk, state__in=ends)
        resumed = waiting.update(
            state=Chain.State.RUNNING, reason="", ended_at=None, claimed_until=None
        )
        if resumed:
            _again(parts, who)
            later("evaluations.chains.tasks.advance", chain.pk)
    chain.refresh_from_db()
    return bool(resumed)


def _again(parts: Iterable[Part], who: str) -> None:
    """Raises ``NotStarted``."""
    for part in parts:
        if not part.why_failed:
            continue
        if part.asked is None:
            _forget(part)
        elif not _goes_on(part, who):
            part.attempt += 1
            part.job, part.asked, part.failure = None, None, ""
            part.save(update_fields=["attempt", "job", "asked", "failure"])


def _forget(part: Part) -> None:
    """A step that was refused, or a decision: it is planned again. Jobs that are there stay."""
    step = Part.objects.filter(chain=part.chain, step=part.step)
    if step.exclude(asked=None).exists():
        step.filter(pk=part.pk).update(failure="")
    else:
        step.delete()


def _goes_on(part: Part, who: str) -> bool:
    """Whether its job is resumed. Raises ``NotStarted``."""
    job = part.job
    if job is None or part.failure or not job.can_resume:
        return False
    try:
        return resuming.resume(job, who=who)
    except resuming.NotResumed as error:
        raise NotStarted(str(error)) from error


def jobs_underway(chain: Chain) -> int:
    """How many jobs of it run or wait."""
    active = (Status.QUEUED, Status.STARTING, Status.RUNNING)
    return chain.parts.filter(done_at=None, job__status__in=active).count()
