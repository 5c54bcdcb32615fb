"""What a page or a command asks of a run's answers, each question as one call: all texts are read,
searched and counted in a child with limits."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from monitoring.answers import over_steps, taking
from monitoring.answers.advantage import Method
from monitoring.answers.checking import Check, check_of
from monitoring.answers.kept import step_of
from monitoring.answers.over_steps import Place, Row
from monitoring.answers.prompts import Page, page_of
from monitoring.answers.question import About, Question
from monitoring.answers.side_by_side import Answers, answers_of
from monitoring.answers.step import Step


@dataclass(frozen=True)
class Run:
    """What is known of a run besides its files; ``source`` is the data source of its prompts."""

    about: About
    method: Method
    source: str = ""


def page(
    at: Place, before: Place | None, asked: Question, run: Run, logged: float | None
) -> tuple[Page, Check]:
    """Raises ``OSError``."""
    step = _step(at)
    found = page_of(step, asked, run.about, run.method, _other(before))
    return found, check_of(step, run.method, logged)


def prompt(
    at: Place, beside: Sequence[Place], key: str, run: Run, room: int
) -> tuple[Answers, list[Row]] | None:
    """The answers to a prompt, and what it scored in the steps beside. Raises ``OSError``."""
    found = answers_of(_step(at), key, run.about, run.method, room)
    if found is None:
        return None
    return found, over_steps.prompt_over(beside, found.mark)


def prompt_over(at: Place, places: Sequence[Place], key: str) -> list[Row] | None:
    """What the prompt with a key of one step scored in all. Raises ``OSError``."""
    step = _step(at)
    place = step.place_of(key)
    return None if place is None else over_steps.prompt_over(places, int(step.texts[place]))


def write_answers(at: Place, before: Place | None, asked: Question, run: Run, target: Path) -> int:
    """How many answers were written. Raises ``OSError``."""
    step = _step(at)
    rows = taking.chosen_rows(step, asked, run.about, _other(before))
    return taking.write_answers(step, rows, run.about, run.method, at.step, run.source, target)


def write_groups(
    at: Place, before: Place | None, asked: Question, run: Run, target: Path
) -> tuple[int, int, int]:
    """Of how many answers how many prompts and answers were written. Raises ``OSError``."""
    step = _step(at)
    rows = taking.chosen_rows(step, asked, run.about, _other(before))
    own = taking.write_groups(step, rows, run.about, run.method, at.step, run.source, target)
    return len(rows), *own


def _step(at: Place) -> Step:
    return step_of(at.path, at.kept)


def _other(at: Place | None) -> Step | None:
    """Raises nothing: it was there when the steps were listed."""
    try:
        return None if at is None else _step(at)
    except OSError:
        return None
