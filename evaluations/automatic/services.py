"""Evaluate every checkpoint of a run, also those that it saves later."""

import uuid as uuids
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

from django.db import transaction

from evaluations.automatic.forms import RuleForm
from evaluations.kinds.evaluate import Evaluate, EvaluateSpec
from evaluations.models import Rule
from jobs.artifacts.story import Saved, known_of
from jobs.launch.submit import NotSubmitted
from jobs.models import Job, Priority
from jobs.queue.verbs import QueueError, set_priority
from surgery.making.services import queue


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
    """Queue an evaluation of each whole checkpoint that has none by this rule.

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
        for saved in _due(rule):
            try:
                made.append(_evaluate(rule, saved))
            except NotSubmitted as error:
                rule.problem = f"Step {saved.step}: {error}"
            else:
                rule.done.append(saved.step)
        rule.save(update_fields=["done", "problem"])
    return made


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
