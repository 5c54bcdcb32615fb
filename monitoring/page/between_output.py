"""What the command prints of the answers of several runs to the same prompts."""

from dataclasses import asdict
from typing import Any

from monitoring.answers.between import Groups, Page, Row
from monitoring.page.answer_output import Said, as_number, of_answer, score_of
from monitoring.page.between import Runs


def about(runs: Runs) -> dict[str, Any]:
    return {
        "kind": runs.kind,
        "jobs": [one.job.pk for one in runs.beside],
        "steps": [one.step for one in runs.beside],
        "notes": {str(one.job.pk): one.notes for one in runs.beside},
        "without": {str(job.pk): why for job, why in runs.without},
    }


def page(runs: Runs, found: Page) -> Said:
    data = {
        "shared": found.shared,
        "matching": found.matching,
        **found.verdicts,
        "runs": [asdict(one) for one in found.runs],
        "shown": [_row(one) for one in found.rows],
    }
    lines = [f"{found.matching} of {found.shared} prompts that all have"]
    lines.append(", ".join(f"{count} {name}" for name, count in found.verdicts.items()))
    for one, counts in zip(runs.beside, found.runs, strict=True):
        mean, alone = as_number(counts.mean), f"{counts.alone} prompts of its own"
        lines.append(f"{one.letter} {one.job.pk}  step {one.step}  {mean}  {alone}  {one.job.name}")
    for one in runs.beside:
        lines += [f"{one.letter}: {note}" for note in one.notes]
    lines += [f"Left out, {job.pk}: {why}" for job, why in runs.without]
    return data, "\n".join([*lines, *map(_line, found.rows)])


def _row(one: Row) -> dict[str, Any]:
    figures = [asdict(figure) for figure in one.figures]
    return {"prompt": one.key, "text": one.text, "change": one.change, "runs": figures}


def _line(one: Row) -> str:
    means = "  ".join(as_number(figure.mean) for figure in one.figures)
    return f"{one.key}  {means}  {as_number(one.change)}  {' '.join(one.text.split())[:60]}"


def prompt(runs: Runs, found: Groups) -> Said:
    groups, lines = [], [found.text.shown]
    for one, group in zip(runs.beside, found.runs, strict=True):
        groups.append({**asdict(group.figure), "shown": [*map(of_answer, group.answers)]})
        for number, answer in enumerate(group.answers, 1):
            score = score_of(answer)
            lines.append(f"--- {one.letter} {one.job.pk}, answer {number}, score {score}")
            lines.append(answer.text.shown)
        if not group.answers:
            lines.append(f"--- {one.letter} {one.job.pk} has no such prompt in step {one.step}")
    return {"prompt": found.key, "text": found.text.shown, "runs": groups}, "\n".join(lines)
