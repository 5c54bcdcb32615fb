"""What a dry-fire proposes: from its report, and the estimate of what it ran."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from compute.sizing.question import Question
from jobs.dryfire.services import at_most, question_at_most
from jobs.fit.guarded import guarded
from jobs.fit.learned import correction_for
from jobs.fit.ledger import PHASES
from jobs.fit.services import NotKnown, QuestionError
from jobs.kinds.base import Phase, Report
from jobs.models import Job
from jobs.verl.proposing import Measured, Proposal, propose
from jobs.verl.question import question_of
from jobs.verl.spec import TrainSpec

LABELS = {**PHASES, "validation": "Validation"}
NO_FIGURES = "No memory of a GPU was measured, so that nothing is proposed."
BROKE_OFF = (
    "Each phase that was measured broke off, and not for lack of memory: nothing is proposed."
)


@dataclass(frozen=True)
class ShownPhase:
    """A phase of a report: what was measured, estimated before, and is expected of the proposal."""

    label: str
    phase: Phase
    estimated: int | None
    expected: int | None


@dataclass(frozen=True)
class Found:
    """The phases of a report, with what is proposed; ``why`` says why nothing is, or that
    it does not fit."""

    phases: tuple[ShownPhase, ...]
    proposal: Proposal | None = None
    why: str = ""


def found_in(run: Job, report: Report) -> Found | None:
    """What a job's report tells of its phases; None for a report without any."""
    if not report.phases:
        return None
    proposal, why = _proposed(run, report)
    estimated: Mapping[str, int] = proposal.estimated if proposal else {}
    expected: Mapping[str, int] = proposal.expected if proposal else {}
    shown = (
        ShownPhase(
            LABELS.get(one.name, one.name.capitalize()),
            one,
            estimated.get(one.name),
            expected.get(one.name),
        )
        for one in report.phases
    )
    return Found(tuple(shown), proposal, why)


def _proposed(run: Job, report: Report) -> tuple[Proposal | None, str]:
    if report.limit is None or all(one.card is None for one in report.phases):
        return None, NO_FIGURES
    measured = {
        one.name: Measured(one.card, one.ran_out)
        for one in report.phases
        if one.card is not None and (one.ran_out or not one.failed)
    }
    if not run.is_over:
        return None, "What is proposed is said when it is over."
    if not measured:
        return None, BROKE_OFF
    spec: TrainSpec = run.spec_of_kind.training
    try:
        with guarded("The proposal of a dry-fire"):
            question = question_at_most(spec, run.machine, report.longest, report.limit)
            found = propose(
                spec,
                lambda other: _asked(other, question, report.longest),
                measured,
                correction_for(question),
            )
    except (NotKnown, QuestionError) as error:
        return None, f"Nothing is proposed, since there is no estimate to go by. {error}"
    return found, found.said


def _asked(spec: TrainSpec, like: Question, longest: int | None) -> Question:
    """The question of another spec of the same model, on the same cards, with the same rows."""
    return question_of(
        at_most(spec, longest),
        like.actor.model,
        like.gpu,
        per_node=like.per_node,
        host_memory=like.host_memory,
        lengths=like.lengths,
        critic=like.critic.model if like.critic else None,
        reward_model=like.reward_model.model if like.reward_model else None,
    )


def as_json(found: Found | None, report: Report) -> dict[str, Any]:
    """``phases`` in bytes of one GPU and seconds; ``proposal`` is null where there is none. ``why``
    says why there is none, or none that changes anything and fits."""
    if found is None:
        return {"phases": [], "limit": report.limit, "proposal": None, "why": NO_FIGURES}
    proposal = found.proposal
    rows = [
        {
            "phase": one.phase.name,
            "card": one.phase.card,
            "allocated": one.phase.allocated,
            "reserved": one.phase.reserved,
            "seconds": one.phase.seconds,
            "failed": one.phase.failed,
            "ran_out": one.phase.ran_out,
            "estimated": one.estimated,
            "expected": one.expected,
        }
        for one in found.phases
    ]
    told = proposal and {
        "settings": [
            {"name": row.name, "now": row.now, "proposed": row.planned, "why": row.why}
            for row in proposal.rows
        ],
        "fits": proposal.fits,
        "values": dict(proposal.spec.values),
        "overrides": list(proposal.spec.overrides),
    }
    return {"phases": rows, "limit": report.limit, "proposal": told, "why": found.why}


def proposed_for(run: Job, job: Job, report: Report) -> TrainSpec | None:
    """The job's own settings with what its dry-fire proposes; None where it proposes no change.

    The job may have been changed since: what is not proposed stays as it is now.
    """
    found = found_in(run, report)
    if found is None or found.proposal is None or not found.proposal.changes:
        return None
    before: TrainSpec = run.spec_of_kind.training
    after: TrainSpec = found.proposal.spec
    now: TrainSpec = job.spec_of_kind
    changed = {k: v for k, v in after.values.items() if before.values.get(k) != v}
    dropped = {line for line in before.overrides if line not in after.overrides}
    added = [line for line in after.overrides if line not in before.overrides]
    kept = [line for line in now.overrides if line not in dropped]
    return replace(now, values={**now.values, **changed}, overrides=(*kept, *added))


def changed_since(run: Job, job: Job) -> str:
    """That the peaks may differ, since the job has another machine or model; else empty."""
    before, now = run.spec_of_kind.training.values, job.spec_of_kind.values
    changed = [] if job.machine_id == run.machine_id else ["machine"]
    changed += ["model"] if now.get("model_path") != before.get("model_path") else []
    if not changed:
        return ""
    return (
        f"The job has another {' and another '.join(changed)} since its dry-fire: the peaks, and "
        "what fits, may differ. Dry-fire it again."
    )
