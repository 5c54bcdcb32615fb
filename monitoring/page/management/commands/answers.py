"""The answers of a run for people and programs: the prompts of a step, or the answers to one."""

from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandError

from jobs.management.base import find_job
from monitoring.answers.prompts import SORTS, Page, Prompt
from monitoring.answers.side_by_side import Answers
from monitoring.page import answers
from monitoring.page.answer_forms import ONLY_LABELS, ROLLOUTS, VALIDATION, AnswersForm
from platform_site.bounded.limits import TooMuch
from platform_site.commands import FieldError, FormError, JsonCommand

WHOLE = 16 << 20  # characters of all texts together; a page shows fewer


class Command(JsonCommand):
    help = "Show the prompts of a step with their scores, or the answers to one prompt."

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("id", type=int)
        parser.add_argument("--step", default="", help="default: the newest")
        parser.add_argument("--validation", action="store_true", help="instead of the rollouts")
        parser.add_argument("--search", default="", help="text in the prompt or an answer")
        parser.add_argument("--regex", action="store_true", help="the text is a regular expression")
        parser.add_argument("--low", default="", help="the lowest mean score")
        parser.add_argument("--high", default="", help="the highest mean score")
        parser.add_argument("--only", choices=[name for name in ONLY_LABELS if name], default="")
        parser.add_argument("--sort", default="", help=f"{', '.join(SORTS)}; -NAME: greatest first")
        parser.add_argument("--page", default="")
        parser.add_argument("--prompt", default="", help="a key of the list: show its answers")

    def handle(self, *args: Any, **options: Any) -> None:
        job = find_job(options["id"])
        kind = VALIDATION if options["validation"] else ROLLOUTS
        names = ("step", "regex", "low", "high", "only", "sort", "page", "prompt")
        given = {name: options[name] for name in names}
        form = AnswersForm({**given, "kind": kind, "q": options["search"]})
        if not form.is_valid():
            text = "; ".join(str(error) for errors in form.errors.values() for error in errors)
            raise FormError(text, form)
        steps = answers.steps_of(job, kind, form.cleaned_data["step"])
        if steps.shown is None:
            raise CommandError(answers.why_none(job, kind))
        if form.cleaned_data["step"] not in (None, steps.shown.step):
            nearest = f"The nearest step that has any is {steps.shown.step}."
            asked = form.cleaned_data["step"]
            raise FieldError("step", f"There are no answers of step {asked}. {nearest}")
        about = {
            "job": job.pk,
            "kind": kind,
            "step": steps.shown.step,
            "file": str(steps.shown.path),
        }
        try:
            data, text = self.found(steps, form)
        except (OSError, TooMuch) as error:
            raise CommandError(str(error)) from error
        self.show(options, {**about, **data, "lost": answers.lost_in(job, steps)}, text)

    def found(self, steps: answers.Steps, form: AnswersForm) -> tuple[dict[str, Any], str]:
        if key := form.cleaned_data["prompt"]:
            one = answers.prompt_asked(steps, key, WHOLE)
            if one is None:
                raise FieldError("prompt", f"There is no prompt {key} in this step.")
            return prompt_data(one), prompt_text(one)
        page = answers.page_asked(steps, form)
        if page is None:
            raise CommandError("There are no answers.")
        data = page_data(page)
        return {"steps": [file.step for file in steps.files], **data}, page_text(page)


def figures(prompt: Prompt | None) -> dict[str, Any] | None:
    if prompt is None:
        return None
    return {
        "prompt": prompt.key,
        "answers": prompt.rows,
        "mean": prompt.mean,
        "deviation": prompt.deviation,
        "no_deviation": prompt.is_flat,
        "without_score": prompt.unscored,
        "characters": prompt.length,
    }


def page_data(page: Page) -> dict[str, Any]:
    rows = [
        {**(figures(one) or {}), "missing": one.missing, "found": one.found, "text": one.text}
        for one in page.shown
    ]
    return {
        "answers": page.rows,
        "prompts": page.prompts,
        "matching": page.matching,
        "no_deviation": page.flat,
        "mean": page.mean,
        "padding": page.padding,
        "left_out": asdict(page.left_out),
        "shown": rows,
    }


def page_text(page: Page) -> str:
    lines = [f"{page.matching} of {page.prompts} prompts, {page.rows} answers"]
    for one in page.shown:
        figure = "-" if one.mean is None else f"{one.mean:.4g}"
        spread = "-" if one.deviation is None else f"{one.deviation:.4g}"
        start = " ".join(one.text.split())[:60]
        lines.append(f"{one.key}  {one.rows:>4}  {figure:>8}  {spread:>8}  {start}")
    return "\n".join(lines)


def prompt_data(one: Answers) -> dict[str, Any]:
    rows = [
        {
            "uid": answer.uid,
            "score": answer.score,
            "truth": answer.truth,
            "parts": dict(answer.parts),
            "characters": answer.text.length,
            "text": answer.text.shown,
        }
        for answer in one.shown
    ]
    beside = {"before": figures(one.before), "after": figures(one.after)}
    return {**(figures(one.prompt) or {}), "text": one.text.shown, **beside, "shown": rows}


def prompt_text(one: Answers) -> str:
    parts = [one.text.shown]
    for number, answer in enumerate(one.shown, 1):
        score = answer.said or "none" if answer.score is None else f"{answer.score:.4g}"
        parts.append(f"--- answer {number}, score {score}\n{answer.text.shown}")
    return "\n".join(parts)
