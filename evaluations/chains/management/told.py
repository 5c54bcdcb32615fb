"""A chain as its command prints it."""

from collections.abc import Iterator
from typing import Any

from evaluations.chains.models import Chain, Part
from evaluations.chains.story import StepNow, story_of


def as_json(chain: Chain) -> dict[str, Any]:
    return {
        "id": chain.pk,
        "uuid": str(chain.uuid),
        "name": chain.name,
        "state": chain.state,
        "reason": chain.reason,
        "machine": chain.machine.name,
        "owner": chain.owner.get_username(),
        "created_at": chain.created_at.isoformat(),
        "ended_at": chain.ended_at.isoformat() if chain.ended_at else None,
        "steps": [_step(now) for now in story_of(chain)],
    }


def as_text(data: dict[str, Any]) -> str:
    return "\n".join(_lines(data))


def as_line(chain: Chain) -> str:
    return f"{chain.pk:>6}  {chain.state:<10} {chain.name}"


def _step(now: StepNow) -> dict[str, Any]:
    return {
        "name": now.step.name,
        "does": now.step.verb,
        "needs": now.step.needs,
        "state": now.state,
        "why": now.why,
        "seconds": now.elapsed.total_seconds() if now.elapsed is not None else None,
        "cost": now.cost,
        "former_jobs": [job.pk for job in now.former],
        "parts": [_part(part) for part in now.parts],
    }


def _part(part: Part) -> dict[str, Any]:
    return {
        "label": part.label,
        "job": part.job.pk if part.job else None,
        "status": part.job.stands if part.job else None,
        "is_done": part.is_done,
        "model": part.path or None,
        "said": part.said,
        "failure": part.why_failed,
    }


def _lines(data: dict[str, Any]) -> Iterator[str]:
    yield f"{data['name']} ({data['id']}): {data['state']}. {data['reason']}".rstrip()
    for step in data["steps"]:
        yield f"  {step['name']:<20} {step['state']:<10} {step['why']}".rstrip()
        for part in step["parts"]:
            job = f"job {part['job']}, {part['status']}" if part["job"] else ""
            where = job or part["model"]  # two models may be called the same
            told = [each for each in (part["label"], where, part["said"]) if each]
            yield f"    {', '.join(told)}"
