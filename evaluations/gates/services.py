"""Gates of jobs: a job that waits starts only if an evaluation found its model good enough."""

from dataclasses import asdict
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from evaluations.gates.judging import Judged, NotComparable, beside, within
from evaluations.kinds.evaluate import Evaluate
from evaluations.models import Evaluation
from evaluations.steps.step import Limit
from jobs import events, lifecycle
from jobs.models import Gate, Job, Status
from jobs.queue import claims
from jobs.work import kick

AT_ONCE = 50


class NotSet(Exception):
    """A job has no gate, or keeps the one that it had. The message is a sentence."""


def set_gate(job: Job, on: Job, limit: Limit, other: Job | None, *, who: str) -> Gate:
    """Let a job wait for what an evaluation finds, in place of the gate that it had. Raises
    ``NotSet``."""
    _check(job, on, other)
    words = in_words(limit, on, other)
    with transaction.atomic():
        claims.locked(job.machine_id)  # so that nobody starts it by the line as it was
        waits = Q(status=Status.DRAFT) | Q(status=Status.QUEUED, attempt=1)
        if not Job.objects.filter(waits, pk=job.pk).exists():
            raise NotSet(f"{job.name} has started meanwhile.")
        facts = {"on": on, "other": other, "asks": asdict(limit), "words": words,
                 "passed_at": None, "said": "", "failure": ""}  # fmt: skip
        gate, _ = Gate.objects.update_or_create(job=job, defaults=facts)
        lifecycle.record(job, events.GATE_SET, who=who, message=f"It starts if {words}.")
        lifecycle.touch(job)
    if on.status == Status.COMPLETED:
        settle(on)
        gate.refresh_from_db()
    return gate


def remove_gate(job: Job, *, who: str) -> bool:
    """Let a job start without it; false where it has none."""
    waits = (Status.DRAFT, Status.QUEUED)
    with transaction.atomic():
        removed, _ = Gate.objects.filter(job=job, job__status__in=waits).delete()
        if removed:
            lifecycle.record(job, events.GATE_REMOVED, who=who)
            lifecycle.touch(job)
            kick(job.machine_id)
    return bool(removed)


def settle(evaluation: Job) -> None:
    """Judge the gates that wait for what this job found, once that is kept."""
    row = Evaluation.objects.filter(job=evaluation).defer("scores").first()
    gates = Gate.objects.shut().filter(Q(on=evaluation) | Q(other=evaluation), failure="")
    if row is None:
        return
    for gate in gates.select_related("job", "on", "other"):
        judged = _judged(gate)
        if judged is None:
            continue  # the other evaluation is not over yet
        passed = None if judged.failure else timezone.now()
        # Not where somebody has asked for something else meanwhile.
        same = Gate.objects.filter(pk=gate.pk, on=gate.on, other=gate.other, words=gate.words)
        same.filter(passed_at=None).update(
            passed_at=passed, said=judged.said, failure=judged.failure
        )
        kick(gate.job.machine_id)


def settle_due() -> None:
    """Judge what nobody did: a worker may have died before it came to it."""
    open_ones = Gate.objects.shut().filter(failure="", on__status=Status.COMPLETED)
    for gate in open_ones.exclude(on__evaluation=None).select_related("on")[:AT_ONCE]:
        if gate.on:
            settle(gate.on)


def _judged(gate: Gate) -> Judged | None:
    limit = Limit(**gate.asks)
    row = Evaluation.objects.filter(job=gate.on).defer("scores").first()
    if row is None or gate.on is None:
        return None
    if row.fault:
        return Judged(failure=f"What job {gate.on.pk} found cannot be read. {row.fault}")
    said = []
    if limit.at_least is not None or limit.at_most is not None:
        if (value := row.metrics.get(limit.metric)) is None:
            known = ", ".join(row.metrics) or "nothing"
            return Judged(failure=f"{limit.metric} never came: job {gate.on.pk} told {known}.")
        judged = within(limit.metric, value, limit)
        if judged.failure:
            return judged
        said.append(judged.said)
    if limit.other:
        return _beside(gate, gate.on, limit, said)
    return Judged(" ".join(said))


def _beside(gate: Gate, on: Job, limit: Limit, said: list[str]) -> Judged | None:
    if gate.other is None:
        return Judged(failure="The evaluation with which it is compared was deleted.")
    if not Evaluation.objects.filter(job=gate.other).exists():
        is_coming = gate.other.status == Status.COMPLETED or not gate.other.is_over
        nothing = f"Job {gate.other.pk}, with which it is compared, found nothing."
        return None if is_coming else Judged(failure=nothing)
    try:
        judged = beside(on, gate.other, limit)
    except NotComparable as error:
        return Judged(failure=str(error))
    return judged if judged.failure else Judged(" ".join([*said, judged.said]))


def _check(job: Job, on: Job, other: Job | None) -> None:
    """Raises ``NotSet``."""
    if job.status not in (Status.DRAFT, Status.QUEUED) or job.attempt > 1:
        raise NotSet(f"{job.name} is {job.stands}: a gate stands before the first start.")
    for each in filter(None, (on, other)):
        if each.kind != Evaluate.slug:
            raise NotSet(f"Job {each.pk} evaluates nothing.")
        if each.is_over and each.status != Status.COMPLETED:
            raise NotSet(f"Job {each.pk} is {each.stands}: it will find nothing.")
    if on == other:
        raise NotSet("A model is compared with another one.")
    for each in filter(None, (on, other)):
        if each == job or job.pk in _awaited_by(each):
            raise NotSet(f"Job {each.pk} waits for this one.")


def _awaited_by(job: Job) -> set[int]:
    """The jobs for which a job waits, by whatever way, over others."""
    seen, line = set[int](), [job]
    while line:
        each = line.pop()
        gate = Gate.objects.filter(job=each).select_related("on", "other").first()
        before = [each.after, *([gate.on, gate.other] if gate else [])]
        for one in filter(None, before):
            if one.pk not in seen:
                seen.add(one.pk)
                line.append(one)
    return seen


def in_words(limit: Limit, on: Job, other: Job | None) -> str:
    """What a gate asks, as a part of a sentence."""
    said: list[str] = []
    if limit.at_least is not None:
        said.append(f"is at least {limit.at_least:g}")
    if limit.at_most is not None:
        said.append(f"is at most {limit.at_most:g}")
    if other and limit.better_than:
        said.append(f"is better than that of job {other.pk}")
    elif other:
        margin = f" by more than {limit.margin:g}" if limit.margin else ""
        said.append(f"is not worse{margin} than that of job {other.pk}")
    return f"{limit.metric} of job {on.pk} {' and '.join(said)}"[:500]


def facts_of(gate: Gate) -> dict[str, Any]:
    """A gate as a command prints it."""
    return {
        "job": gate.job_id, "on": gate.on_id, "other": gate.other_id, "asks": gate.asks,
        "words": gate.words, "said": gate.said, "failure": gate.failure,
        "passed_at": gate.passed_at.isoformat() if gate.passed_at else None,
    }  # fmt: skip
