"""Evaluate every checkpoint of a run, also those that it saves later."""

import logging
import uuid as uuids
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import islice

from django.db import InterfaceError, OperationalError, transaction
from django.db.models import F

from evaluations.automatic.forms import RuleForm
from evaluations.kinds.evaluate import Evaluate, EvaluateSpec
from evaluations.models import Rule
from jobs.artifacts.story import Saved, known_of
from jobs.launch.submit import NotSubmitted
from jobs.models import Artifact, Job, Place, Priority, Status
from jobs.queue.verbs import QueueError, set_priority
from surgery.making.services import queue

log = logging.getLogger(__name__)
AT_ONCE = 20  # checkpoints of one call; the workers come to the others, since they are overdue
MOST_RULES = 200  # of runs that have completed, the newest, that are looked at


def begin(form: RuleForm) -> tuple[Rule, list[Job]]:
    """Keep the rule of a valid form, and evaluate what is there. Twice the same is one rule."""
    given = form.cleaned_data
    rule, _ = Rule.objects.get_or_create(
        uuid=given["uuid"],
        defaults={
            "run": form.run, "owner": form.user, "name": given["name"],
            "spec": form.spec.to_json(), "dataset_version": form.dataset_version,
        },
    )  # fmt: skip
    return rule, fulfil(rule)


def end(rule: Rule) -> None:
    """What is queued stays; what is saved from now on is not evaluated."""
    Rule.objects.filter(pk=rule.pk).update(is_on=False)


def fulfil(rule: Rule) -> list[Job]:
    """Queue an evaluation of whole checkpoints that have none by this rule, ``AT_ONCE`` at most.

    A step is done once: who deletes its evaluation does not want another. The number of each job
    comes of the rule and the step, so that twice at a time makes one.
    """
    made = list[Job]()
    with transaction.atomic():
        rule = Rule.objects.select_for_update().select_related("run__machine", "owner").get(
            pk=rule.pk
        )  # fmt: skip
        if not rule.is_on or rule.run.deleting_at is not None:
            return []
        rule.problem = ""
        for saved in islice(_due(rule), AT_ONCE):
            try:
                made.append(_evaluate(rule, saved))
            except NotSubmitted as error:
                rule.problem = f"Step {saved.step}: {error}"
            except (InterfaceError, OperationalError):
                raise  # another try may end otherwise
            except Exception as error:
                log.exception("Step %s of rule %s has no evaluation.", saved.step, rule.pk)
                rule.problem = f"Step {saved.step}: {type(error).__name__}: {error}"[:1000]
            else:
                rule.done.append(saved.step)
        rule.save(update_fields=["done", "problem"])
    return made


def overdue() -> Collection[int]:
    """Runs that have completed, with checkpoints that a rule asks for and that have no evaluation:
    a worker died on the way, a job could not be made, or there were many."""
    rules = Rule.objects.on().filter(run__status=Status.COMPLETED)
    found = list(rules.select_related("run").order_by("-pk")[:MOST_RULES])
    steps = dict[int, set[int]]()
    for run, step in _whole_steps({rule.run_id for rule in found}) if found else ():
        steps.setdefault(run, set()).add(step)
    behind = (rule for rule in found if steps.get(rule.run_id, set()) - set(rule.done))
    # A checkpoint of an attempt that others have taken back is none of the run's story.
    late = {rule.run_id: next(_due(rule), None) for rule in behind}
    return [run for run, saved in late.items() if saved]


def _whole_steps(runs: Collection[int]) -> Iterator[tuple[int, int]]:
    """Each with its run."""
    there = Place.objects.there().filter(machine=F("artifact__job__machine"))
    whole = there.filter(artifact__job__in=runs, artifact__kind=Artifact.Kind.CHECKPOINT,
                         artifact__is_whole=True, artifact__step__isnull=False)  # fmt: skip
    for run, step in whole.values_list("artifact__job", "artifact__step").distinct():
        yield run, step or 0


def _due(rule: Rule) -> Iterator[Saved]:
    """The first ones first."""
    done = set(rule.done)
    for saved in sorted(known_of(rule.run), key=lambda each: each.step):
        if saved.artifact.is_whole and saved.step not in done:
            done.add(saved.step)
            yield saved


def _evaluate(rule: Rule, saved: Saved) -> Job:
    """At low priority, so that it takes what nobody else waits for. Raises ``NotSubmitted``."""
    asked: EvaluateSpec = Evaluate().read(rule.spec)
    spec = replace(asked, model=saved.folder, of_job=rule.run_id, of_step=saved.step)
    of = rule.name or f"Evaluation of {rule.run.name[:80]} on {_on(rule, asked)}"
    with transaction.atomic():
        made = queue(
            spec, rule.run.machine, rule.owner, f"{of[:180]}, step {saved.step}",
            uuids.uuid5(rule.uuid, str(saved.step)), rule.dataset_version,
        )  # fmt: skip
        with suppress(QueueError):  # it is no more in the queue
            set_priority(made, rule.owner, Priority.LOW)
    return made


def _on(rule: Rule, asked: EvaluateSpec) -> str:
    if rule.dataset_version:
        return rule.dataset_version.label
    return ", ".join([*asked.tasks, *asked.task_files])[:80]
