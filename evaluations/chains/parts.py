"""The parts of a chain: which are done, which are needed still, and which are to be made anew."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from evaluations.chains.models import Chain, Part
from evaluations.steps.step import Recipe, Step
from jobs.artifacts.keeping import gone_of
from jobs.models import Job, Status

Parts = Mapping[str, Sequence[Part]]


def parts_of(chain: Chain) -> dict[str, list[Part]]:
    """The parts of each step, in order."""
    return of_all([chain])[chain.pk]


def of_all(chains: Iterable[Chain]) -> dict[int, dict[str, list[Part]]]:
    """The same of several chains, by their keys."""
    known = {chain.pk: chain for chain in chains}
    found = {pk: defaultdict[str, list[Part]](list) for pk in known}
    rows = Part.objects.filter(chain__in=known).select_related("job__machine", "machine")
    for part in rows.prefetch_related("of").order_by("step", "nr"):
        part.chain = known[part.chain_id]
        found[part.chain_id][part.step].append(part)
    return {pk: dict(parts) for pk, parts in found.items()}


def former_jobs(parts: Parts) -> dict[str, list[Job]]:
    """The jobs of former attempts that are there still, by their step."""
    steps = {
        uuid: name for name, own in parts.items() for each in own for uuid in each.former_uuids
    }
    found = defaultdict[str, list[Job]](list)
    jobs = Job.objects.filter(uuid__in=steps).select_related("machine") if steps else ()
    for job in sorted(jobs, key=lambda each: each.pk):
        found[steps[job.uuid]].append(job)
    return found


def is_done(step: str, parts: Parts) -> bool:
    own = parts.get(step, ())
    return bool(own) and all(part.is_done for part in own)


def needed(recipe: Recipe, parts: Parts) -> dict[Part, Step]:
    """The parts whose jobs have completed, and on whose models or results a step that is not done
    works; each with such a step, which reads its checkpoints if any does."""
    found = dict[Part, Step]()
    for step, part, _ in _wanted(recipe, parts, {}):
        is_kept = part in found and found[part].reads_checkpoints  # which needs more than others
        if part.job is not None and part.job.status == Status.COMPLETED and not is_kept:
            found[part] = step
    return found


def passed_on(part: Part, parts: Parts) -> list[Part]:
    """The parts that decided about the model of a part, or about a checkpoint of its job."""
    direct = [each for own in parts.values() for each in own
              if each.asked is None and part in each.of.all()]  # fmt: skip
    return [*direct, *(more for each in direct for more in passed_on(each, parts))]


def to_remake(recipe: Recipe, parts: Parts) -> list[Part]:
    """The parts that were done and are to be done again: what a step that is not done needs, where
    it was deleted, and what came of that and is needed, too."""
    again, gone = dict[int, Part](), _gone(parts)
    while more := [
        part for _, part, has_path in _wanted(recipe, parts, again)
        if part.is_done and part.pk not in again
        and (part.is_lost or (has_path and part.pk in gone) or _comes_of(part, again))
    ]:  # fmt: skip
        for part in more:
            # What decided about one of its models decides about all of them anew.
            own = parts[part.step] if recipe.step(part.step).decides else [part]
            again |= {each.pk: each for each in own if each.is_done}
    return list(again.values())


def _wanted(
    recipe: Recipe, parts: Parts, again: Mapping[int, Part]
) -> Iterator[tuple[Step, Part, bool]]:
    """The parts behind each step that is not done, or is to be done ``again``; each with whether
    that which lies at its path is wanted."""
    every = {part.pk: part for own in parts.values() for part in own}
    for step in recipe.steps:
        own = parts.get(step.name, ())
        left = [part for part in own if not part.is_done or part.pk in again]
        names = _looks_at(step, own, left)
        before = [every[each.pk] for part in left for each in part.of.all()]
        for part in [*before, *(part for name in names for part in parts.get(name, ()))]:
            for each in _behind(part, every):
                # Of a job one of whose checkpoints was chosen, the last model is not wanted.
                yield step, each, each is part or part.has_model_of(each)


def _looks_at(step: Step, own: Sequence[Part], left: Sequence[Part]) -> Sequence[str]:
    """The steps all of whose parts it needs: those of which it consists are known once it is
    planned; what failed to decide has all before it."""
    if not own or (step.decides and any(part.failure for part in own)):
        return step.uses
    return step.judges if left and step.decides else ()


def _behind(part: Part, every: Mapping[int, Part]) -> Iterator[Part]:
    """The part, and where it decided, those whose models it passes on."""
    yield part
    if part.asked is None:
        for each in part.of.all():
            yield from _behind(every[each.pk], every)


def _comes_of(part: Part, again: Collection[int]) -> bool:
    return any(each.pk in again for each in part.of.all())


def _gone(parts: Parts) -> set[int]:
    """The keys of parts that are done, and whose model was deleted, or the checkpoint that they
    chose."""
    done = [part for own in parts.values() for part in own if part.is_done and part.path]
    gone = gone_of((part.path, part.machine_id) for part in done)
    return {part.pk for part in done if (part.path, part.machine_id) in gone}
