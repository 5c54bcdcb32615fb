"""Moves a chain on: notes what is done, decides, and makes the jobs that are due.

All that is known stands in the database, and each job is asked for by a number that its part always
has. So whoever is killed on the way leaves a chain that the next one moves on from there.
"""

import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import DatabaseError, transaction
from django.db.models import Q
from django.utils import timezone
from django_q.tasks import queue_size

from evaluations.chains.deciding import Decided, decide
from evaluations.chains.lost import goes_on, may_go_on
from evaluations.chains.making import Asked, make, models_behind
from evaluations.chains.models import Chain, Part
from evaluations.chains.outputs import NotYet, Refused, labels_of, settle
from evaluations.chains.parts import Parts, is_done, parts_of, to_remake
from evaluations.chains.planning import Planned, plan
from evaluations.steps.step import Recipe, Step
from jobs.launch import end
from jobs.models import Job, Status
from jobs.work import later

log = logging.getLogger(__name__)
# Longer than the workers let a task run: whoever holds a claim that is over was killed.
CLAIM = timedelta(seconds=180)


class Taken(Exception):
    """Another one moves this chain on."""


@dataclass
class Turn:
    """One turn of moving a chain on, whose claim on it is its own. ``waits`` says for what
    machines it could not be moved on."""

    chain: Chain
    until: datetime
    waits: list[str] = field(default_factory=list)

    def renew(self) -> None:
        """Hold the chain for longer. Raises ``Taken``."""
        until = timezone.now() + CLAIM
        mine = Chain.objects.filter(
            pk=self.chain.pk, claimed_until=self.until, state=Chain.State.RUNNING
        )
        if not mine.update(claimed_until=until):
            raise Taken
        self.until = until

    def release(self) -> None:
        mine = Chain.objects.filter(pk=self.chain.pk, claimed_until=self.until)
        mine.update(claimed_until=None)


def kick_due() -> None:
    """Have the workers move on each chain that has something to do."""
    if queue_size():
        return  # they have not come to it yet
    now = timezone.now()
    free = Chain.objects.filter(Q(claimed_until=None) | Q(claimed_until__lt=now))
    running = free.filter(state=Chain.State.RUNNING).order_by("pk")
    open_parts = Part.objects.filter(chain__in=running, done_at=None).select_related("job")
    found = defaultdict[int, list[Part]](list)
    for part in open_parts.defer("job__spec", "job__command"):
        found[part.chain_id].append(part)
    for pk in running.values_list("pk", flat=True):
        if not _only_waits(found[pk]):
            later("evaluations.chains.tasks.advance", pk)


def _only_waits(parts: Sequence[Part]) -> bool:
    """Whether nothing is to be done before a job of these ends."""
    if any(map(may_go_on, parts)):
        return False
    open_ones = [part for part in parts if not part.why_failed]
    with_jobs = [part for part in open_ones if part.job is not None]
    return len(with_jobs) == len(open_ones) > 0 and all(
        part.job.status != Status.COMPLETED for part in with_jobs if part.job
    )


def advance(pk: int) -> None:
    """Move a chain on as far as it goes now. Of two that try at once, one does."""
    turn = _claimed(pk)
    if turn is None:
        return
    try:
        while _moved(turn):
            pass
        _tell(turn)
    except Taken:
        pass
    except DatabaseError:
        raise  # it is tried again
    except Exception as error:
        log.exception("The chain %s cannot be moved on", turn.chain)
        said = f"It could not be moved on ({type(error).__name__}); the log of the site says more."
        _end(turn.chain, Chain.State.FAILED, f"{said} Resume tries again.")
    finally:
        turn.release()


def _claimed(pk: int) -> Turn | None:
    now = timezone.now()
    free = Chain.objects.filter(Q(claimed_until=None) | Q(claimed_until__lt=now), pk=pk)
    if not free.filter(state=Chain.State.RUNNING).update(claimed_until=now + CLAIM):
        return None
    return Turn(Chain.objects.select_related("machine", "owner").get(pk=pk), now + CLAIM)


def _tell(turn: Turn) -> None:
    """Say for what a chain waits that runs, if that is no job."""
    running = Chain.objects.filter(pk=turn.chain.pk, state=Chain.State.RUNNING)
    running.update(reason=" ".join(dict.fromkeys(turn.waits)))


def _moved(turn: Turn) -> bool:
    """Do what is due once; false where nothing was to be done, or the chain has ended."""
    chain = turn.chain
    turn.renew()
    turn.waits.clear()
    recipe, parts = chain.recipe, parts_of(chain)
    moved = [_settled(step, parts, turn) for step in recipe.steps]
    moved += [_goes_on(part, turn) for each in parts.values() for part in each]
    if why := _why_not_on(recipe, parts):
        if not _underway(parts):
            _end(chain, Chain.State.FAILED, why)
        return False
    if all(is_done(step.name, parts) for step in recipe.steps):
        _end(chain, Chain.State.COMPLETED, f"All {len(recipe.steps)} steps are done.")
        return False
    due = [step for step in recipe.steps if _is_due(step, recipe, parts)]
    moved += [_begun(step, turn, parts) for step in due]
    return any(moved)


def _why_not_on(recipe: Recipe, parts: Parts) -> str:
    """Why a chain cannot go on, as a sentence; empty where it can."""
    failed = {part.step: part for each in parts.values() for part in each if part.why_failed}
    if failed:
        first = next(failed[step.name] for step in recipe.steps if step.name in failed)
        return f"Step {first}: {_sentence(first.why_failed)}"
    if lost := [part for part in to_remake(recipe, parts) if part.asked]:
        return (
            f"Step {lost[0]}: what job {lost[0].asked} made was deleted, and is needed still. "
            "Resume makes it anew."
        )
    return ""


def _underway(parts: Parts) -> bool:
    jobs = [part.job for each in parts.values() for part in each if not part.is_done]
    return any(job is not None and job.is_underway for job in jobs)


def _is_due(step: Step, recipe: Recipe, parts: Parts) -> bool:
    """Whether all before it is done, and something of it is still to be asked for."""
    own = parts.get(step.name, ())
    lacks = not own or any(part.asked is None and not part.is_done for part in own)
    return lacks and all(is_done(name, parts) for name in step.needs)


def _settled(step: Step, parts: Parts, turn: Turn) -> bool:
    settled = [_settle(part, step, turn) for part in parts.get(step.name, ())]  # each of them
    return any(settled)


def _settle(part: Part, step: Step, turn: Turn) -> bool:
    try:
        return settle(part, step)
    except NotYet as error:
        turn.waits.append(str(error))
        return False


def _goes_on(part: Part, turn: Turn) -> bool:
    """Let the job of a part go on, where it was lost."""
    if part.job is None or not may_go_on(part):
        return False
    turn.renew()
    if not goes_on(part.job):
        return False
    _stop_unless_wanted(part.job, turn.chain)
    return True


def _begun(step: Step, turn: Turn, parts: Parts) -> bool:
    """Make the parts of a step, or the jobs of those that have none yet."""
    try:
        if step.decides or not parts.get(step.name):
            _make_parts(step, turn.chain, parts)
            return True
        open_ones = [p for p in parts[step.name] if p.asked is None and not p.is_done]
        for part in open_ones:
            _ask(part, step, turn)
    except NotYet as error:
        turn.waits.append(str(error))
        return False
    return True


def _make_parts(step: Step, chain: Chain, parts: Parts) -> None:
    """All of a step's parts at once, or one that says why there are none."""
    planned: Sequence[Planned] = ()
    decided: Sequence[Decided] = ()
    try:
        if step.has_jobs:
            planned = plan(step, chain, parts)
        else:
            decided = decide(step, chain, parts)
        _check_same(parts.get(step.name, ()), decided)
    except Refused as error:
        chain.parts.update_or_create(step=step.name, nr=1, defaults={"failure": str(error)})
        return
    with transaction.atomic():
        for nr, each in enumerate(planned, 1):
            _keep_planned(step, chain, nr, each)
        labels = labels_of([one.model for one in decided])
        for nr, (one, label) in enumerate(zip(decided, labels, strict=True), 1):
            _keep_decided(step, chain, nr, one, label)
        chain.parts.filter(step=step.name, nr__gt=len(planned) + len(decided)).delete()


def _check_same(before: Sequence[Part], decided: Sequence[Decided]) -> None:
    """Raises ``Refused`` where a part that follows would be left without its model."""
    if any(part.leads_to.exists() for part in before[len(decided) :]):
        raise Refused(f"It passed on {len(before)} models before, and has {len(decided)} now.")


def _keep_planned(step: Step, chain: Chain, nr: int, each: Planned) -> None:
    base = next((model.path for model in each.models if model.part is None), "")
    part = Part.objects.create(
        chain=chain, step=step.name, nr=nr, label=each.label, values=dict(each.values), base=base
    )
    part.of.set([model.part for model in each.models if model.part])


def _keep_decided(step: Step, chain: Chain, nr: int, one: Decided, label: str) -> None:
    """What follows of a part that is decided again follows of it still."""
    found = {
        "label": label, "said": one.said, "failure": one.failure,
        "path": one.model.path, "machine": one.model.machine,
        "done_at": None if one.failure else timezone.now(),
    }  # fmt: skip
    part, _ = chain.parts.update_or_create(step=step.name, nr=nr, defaults=found)
    part.of.set([one.model.part] if one.model.part else [])


def _ask(part: Part, step: Step, turn: Turn) -> None:
    """Make the job of a part."""
    turn.renew()
    try:
        job = make(Asked(turn.chain, step, part, models_behind(part)))
    except Refused as error:
        part.fail(str(error))
        return
    part.job, part.asked = job, job.pk
    part.save(update_fields=["job", "asked"])
    _stop_unless_wanted(job, turn.chain)


def _stop_unless_wanted(job: Job, chain: Chain) -> None:
    """Who stopped the chain meanwhile wants the job stopped as well."""
    if not Chain.objects.filter(pk=chain.pk, state=Chain.State.RUNNING).exists():
        end.stop(job, who=chain.owner.get_username())


def _end(chain: Chain, state: Chain.State, reason: str) -> None:
    running = Chain.objects.filter(pk=chain.pk, state=Chain.State.RUNNING)
    running.update(state=state, reason=reason, ended_at=timezone.now())


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."
