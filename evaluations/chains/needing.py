"""What chains that have not come to their end need of jobs, for whoever would delete these."""

from collections.abc import Collection

from evaluations.chains.models import Chain, Part
from evaluations.chains.parts import needed, of_all, passed_on
from evaluations.steps.step import Step
from jobs.needs import Need, Needs

OPEN = (Chain.State.RUNNING, Chain.State.FAILED, Chain.State.STOPPED)


def needs_of(jobs: Collection[int]) -> Needs:
    """By the keys of the jobs. In as many queries for one of them as for many."""
    chains = Chain.objects.filter(state__in=OPEN, parts__job__in=jobs).distinct()
    found = dict[int, list[Need]]()
    for chain, parts in zip(chains, of_all(chains).values(), strict=True):
        for part, step in needed(chain.recipe, parts).items():
            if part.job is not None and part.job.pk in jobs:
                paths = [part.path, *(each.path for each in passed_on(part, parts))]
                need = _need(chain, part, step, tuple(filter(None, paths)))
                found.setdefault(part.job.pk, []).append(need)
    return found


def _need(chain: Chain, part: Part, step: Step, paths: tuple[str, ...]) -> Need:
    what = "its model" if part.path else "its result"
    what = "its checkpoints" if step.reads_checkpoints else what
    called = f"The chain {chain.name} ({chain.pk})"
    if chain.is_running:
        said = f"{called} needs {what} for the step {step.name}: stop the chain first."
    else:
        said = (
            f"{called}, which {_ended(chain)}, needs {what} for the step {step.name}: resumed, it "
            "would make that anew."
        )
    return Need(said, chain.is_running, () if step.reads_checkpoints else paths)


def _ended(chain: Chain) -> str:
    return "failed" if chain.state == Chain.State.FAILED else "was stopped"
