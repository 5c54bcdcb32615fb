"""Starts, stops and resumes chains."""

import uuid as uuids
from collections.abc import Iterable

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from compute.machines.local import local_machine
from compute.models import Machine
from evaluations.chains.checking import Checked, check
from evaluations.chains.models import LONGEST_NAME, Chain, ChainRecipe, Part
from evaluations.chains.parts import parts_of, passed_on, to_remake
from evaluations.steps.reading import read_chain
from evaluations.steps.values import ChainError
from jobs import resuming
from jobs.launch import end
from jobs.models import Job, Status
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
    """Stop a chain and the jobs of it that run or wait; false where nothing was left to stop."""
    running = Chain.objects.filter(pk=chain.pk, state=Chain.State.RUNNING)
    reason = f"Stopped by {who}."
    stopped = running.update(state=Chain.State.STOPPED, reason=reason, ended_at=timezone.now())
    chain.refresh_from_db()
    open_parts = list(chain.parts.filter(done_at=None).select_related("chain"))
    # A worker may have made a job that its part does not know of yet.
    for job in Job.objects.filter(uuid__in=[part.uuid for part in open_parts]):
        if job.is_underway:
            stopped += end.stop(job, who=who)
    return bool(stopped)


def resume(chain: Chain, *, who: str) -> bool:
    """Let a chain go on that failed or was stopped; false where it runs, or was completed.

    What is done stays, unless it was deleted and is needed still: then it is made anew, and what
    came of it as far as that is needed, too. A job that ended early goes on where it can, and is
    made anew where not; what was decided against is decided again. Raises ``NotStarted``.
    """
    chain.refresh_from_db()
    if not chain.can_resume:
        return False
    by_step = parts_of(chain)
    parts = [part for each in by_step.values() for part in each]
    ending = [part.job for part in parts if part.job and part.job.is_active and
              part.job.stop_asked_at]  # fmt: skip
    if ending:
        raise NotStarted(f"Job {ending[0].pk} is still being stopped: resume {chain} after that.")
    remade = to_remake(chain.recipe, by_step)
    stale = {*remade, *(each for part in remade for each in passed_on(part, by_step))}
    failed = [part for part in parts if part.why_failed]
    # Each job by itself: one that goes on takes the lock of its machine. One that began with a
    # model that is made anew would go on without it.
    anew = [part for part in failed if stale & {*part.of.all()} or not _goes_on(part, who)]
    with transaction.atomic():
        waiting = Chain.objects.filter(pk=chain.pk, state=chain.state)
        resumed = waiting.update(state=Chain.State.RUNNING, reason="", ended_at=None)
        if resumed:
            for part in remade:
                part.begin_anew()
            _again(anew, chain)
            later("evaluations.chains.tasks.advance", chain.pk)
    chain.refresh_from_db()
    return bool(resumed)


def _again(parts: Iterable[Part], chain: Chain) -> None:
    for part in parts:
        if part.asked is not None:
            part.begin_anew()
        elif chain.recipe.step(part.step).decides:
            for each in chain.parts.filter(step=part.step):
                each.begin_anew()  # all of it is decided again
        else:
            _plan_again(part, chain)


def _plan_again(part: Part, chain: Chain) -> None:
    """A part whose job was refused is asked for again; where it stands for a step that could not
    be planned, that is planned again."""
    was_planned = part.attempt > 1 or part.values or part.base or part.of.exists()
    if was_planned or chain.parts.filter(step=part.step).count() > 1:
        chain.parts.filter(pk=part.pk).update(failure="")
    else:
        part.delete()


def _goes_on(part: Part, who: str) -> bool:
    """Whether its job is resumed, or was by somebody else. Raises ``NotStarted``."""
    job = part.job
    if job is None or part.failure or not job.can_resume:
        return False
    try:
        if resuming.resume(job, who=who):
            return True
    except resuming.NotResumed as error:
        raise NotStarted(str(error)) from error
    job.refresh_from_db()
    return job.is_underway


def jobs_underway(chain: Chain) -> int:
    """How many jobs of it run or wait."""
    active = (Status.QUEUED, Status.STARTING, Status.RUNNING)
    return chain.parts.filter(done_at=None, job__status__in=active).count()
