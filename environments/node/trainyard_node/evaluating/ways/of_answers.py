"""The way `answers`: the model is asked, and a reward function scores what it says."""

from pathlib import Path
from typing import Any

from trainyard_node.evaluating import answers, engines, figures, model, prompts
from trainyard_node.evaluating.answers import Asking, Kept
from trainyard_node.evaluating.model import Described
from trainyard_node.evaluating.place import Place
from trainyard_node.evaluating.program import Work, kept_in_words, name_of
from trainyard_node.evaluating.prompts import SPOOL, Prompts
from trainyard_node.evaluating.spec import Asked
from trainyard_node.export.refused import Refused
from trainyard_node.export.told import Told


def look(asked: Asked, folder: Path) -> dict[str, Any]:
    """What would be asked. Raises Refused."""
    described = model.describe(asked)
    backend = engines.check_backend(engines.chosen(asked), asked, described)
    found = prompts.spooled(asked, described, folder)
    with answers.scorer_of(asked, found):
        pass
    return {
        "prompts": len(found.keys), "too_long": len(found.too_long), "backend": backend,
        "answers": len(found.places) * asked.samples, "tokens": sum(found.lengths.values()),
    }  # fmt: skip


def run(asked: Asked, place: Place, told: Told) -> None:
    """Ask every prompt, and score each answer. Raises Refused."""
    work = Work(asked, place, told)
    described = model.describe(asked)
    work.backend = engines.check_backend(engines.chosen(asked), asked, described)
    asked_of = prompts.spooled(asked, described, place.folder)
    same = _same(asked, described, asked_of)
    kept = Kept(asked.samples)
    with answers.scorer_of(asked, asked_of) as scorer:
        journal, before = place.go_on(
            work.state(same, described), place.rows(asked.of_step), answers.place_of, kept.take
        )
        progress = work.progress(len(asked_of.places), kept_in_words(before, "answers"))
        work.part("prepare")
        asking = Asking(asked, described, asked_of, kept, journal)
        if kept.done < len(asked_of.places):
            engine = engines.engine_of(work.backend, asked, described)
            work.dtype = engine.dtype
            work.part("load")
            asking.run(engine, scorer, progress)
            work.seconds |= asking.seconds
        journal.close()
    metrics, left_out = figures.metrics_of(
        [kept.prompts[index] for index in sorted(kept.prompts)], asked.samples
    )
    work.left_out += left_out
    counts = _counts(asked_of, kept)
    if counts["failed_scores"] == counts["answers"]:
        raise Refused(f"No answer could be scored, the first because of {kept.first_failure}"[:400])
    _say_what_is_left_out(work, asked_of, kept, prompts.longest(asked, described))
    of = {"digest": asked_of.digest, "prompts": len(asked_of.keys), "name": name_of(asked)}
    work.end(progress, same, of, metrics, counts, answers.scores_lines(asked_of, kept))
    (place.folder / SPOOL).unlink(missing_ok=True)


def _same(asked: Asked, described: Described, asked_of: Prompts) -> dict[str, Any]:
    return {
        "data": asked_of.data, "rows": len(asked_of.keys),
        "template": str(described.tokenizer.chat_template or ""),
        "template_kwargs": dict(asked.template_kwargs), "sampling": asked.sampling,
        "reward": answers.reward_of(asked),
    }  # fmt: skip


def _counts(asked_of: Prompts, kept: Kept) -> dict[str, int]:
    names = ("answers", "failed_scores", "clipped", "empty")
    found = {name: kept.counts[name] for name in names}
    return {"prompts": len(asked_of.keys), "too_long": len(asked_of.too_long), **found}


def _say_what_is_left_out(work: Work, asked_of: Prompts, kept: Kept, longest: int) -> None:
    if asked_of.too_long:
        work.left_out.append(
            f"{len(asked_of.too_long)} of {len(asked_of.keys)} prompts are longer than {longest} "
            "tokens: they were not asked, and are in no figure."
        )
    failed = kept.counts["failed_scores"]
    if failed:
        all_of = kept.counts["answers"]
        said = f"{failed} of {all_of} answers could not be scored, the first: {kept.first_failure}"
        work.left_out.append(f"{said[:400].rstrip('.')}. They are in no figure.")
        step = work.asked.of_step or 0
        work.told.event(
            "validation_lost", said, step=step, lost=failed, of=all_of, total=failed,
            first=kept.first_failure,
        )  # fmt: skip
