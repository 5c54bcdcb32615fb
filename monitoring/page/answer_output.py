"""What the command prints of answers: the data for programs, and the text for people."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from monitoring.answers.checking import Check
from monitoring.answers.over_steps import Row, Spread
from monitoring.answers.prompts import Answer, Page, Prompt
from monitoring.answers.side_by_side import Answer as Shown
from monitoring.answers.side_by_side import Answers

Said = tuple[dict[str, Any], str]


def page(found: Page, check: Check) -> Said:
    counts = found.counts
    data = {
        "answers": counts.rows,
        "prompts": counts.prompts,
        "of": found.of,
        "matching": found.matching,
        "no_deviation": counts.flat,
        "correct": counts.correct,
        "correct_by": counts.decides,
        "cut": counts.cut,
        "empty": counts.empty,
        "mean": counts.mean,
        "unit": counts.unit,
        "parts": [*counts.parts],
        "padding": counts.padding,
        "left_out": asdict(counts.left_out),
        "advantage": _checked(check),
        "shown": [*map(_figures, found.prompts), *map(_one, found.answers)],
    }
    head = f"{found.matching} of {counts.prompts} prompts, {counts.rows} answers"
    if found.answers:
        head = f"{found.matching} of {counts.rows} answers"
    return data, "\n".join([head, *map(_line, found.prompts), *map(_answer_line, found.answers)])


def _checked(check: Check) -> dict[str, Any]:
    return {
        "estimator": check.estimator,
        "recomputed": check.is_recomputed,
        "why_not": check.why,
        "mean": check.mean,
        "logged": check.logged,
        "differs_by": check.differs_by,
        "weighted_by_tokens": check.by_tokens,
        "largest_difference_of_an_answer": check.worst,
    }


def _figures(one: Prompt) -> dict[str, Any]:
    return {
        "prompt": one.key,
        "answers": one.rows,
        "mean": one.mean,
        "deviation": one.deviation,
        "no_deviation": one.is_flat,
        "change": one.change,
        "without_score": one.unscored,
        "length": one.length,
        "missing": one.missing,
        "found": one.found,
        "text": one.text,
    }


def _one(one: Answer) -> dict[str, Any]:
    return {**asdict(one), "parts": dict(one.parts)}


def _line(one: Prompt) -> str:
    start = " ".join(one.text.split())[:60]
    return f"{one.key}  {one.rows:>4}  {as_number(one.mean)}  {as_number(one.deviation)}  {start}"


def _answer_line(one: Answer) -> str:
    start = " ".join(one.text.split())[:60]
    return (
        f"{one.key}  {as_number(one.score)}  {as_number(one.advantage)}  {one.length:>6}  {start}"
    )


def as_number(value: float | None) -> str:
    """A figure of a table, a dash where it is not known."""
    return f"{'-' if value is None else f'{value:.4g}':>8}"


def of_answer(answer: Shown) -> dict[str, Any]:
    """An answer with its text, for programs."""
    return {
        "uid": answer.uid,
        "score": answer.score,
        "advantage": answer.advantage,
        "truth": answer.truth,
        "parts": dict(answer.parts),
        "characters": answer.text.length,
        "tokens": answer.tokens,
        "cut": answer.is_cut,
        "repetition": answer.repetition,
        "text": answer.text.shown,
    }


def prompt(one: Answers, beside: Sequence[Row]) -> Said:
    data = {**_figures(one.prompt), "text": one.text.shown, "steps": [*map(asdict, beside)]}
    parts = [one.text.shown]
    for number, answer in enumerate(one.shown, 1):
        parts.append(f"--- answer {number}, score {score_of(answer)}\n{answer.text.shown}")
    return {**data, "shown": [*map(of_answer, one.shown)]}, "\n".join(parts)


def score_of(answer: Shown) -> str:
    """Its score, or what stands in its place."""
    return answer.said or "none" if answer.score is None else f"{answer.score:.4g}"


def over(rows: Sequence[Row]) -> Said:
    return {"steps": [*map(asdict, rows)]}, "\n".join(map(_step_line, rows))


def spread(found: Spread) -> Said:
    data, text = over(found.rows)
    counts = {"unit": found.unit, "counted": len(found.rows), "of": found.of}
    head = f"{len(found.rows)} of {found.of} steps are counted"
    return {**data, **counts}, f"{head}\n{text}"


def _step_line(one: Row) -> str:
    figures = "  ".join(map(as_number, (one.mean, one.low, one.high, one.length)))
    return f"step {one.step:>6}  {one.answers:>6} answers  {figures}"
