"""The answers of a run for people and programs: a step's, those to one prompt, or all steps'."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from jobs.management.base import find_job
from jobs.models import Job
from monitoring.answers.between import MOST_RUNS, VERDICTS
from monitoring.answers.question import ANSWERS, ONLY, PROMPTS, SORTS
from monitoring.page import answer_output as output
from monitoring.page import answer_taking, answers, between, between_output
from monitoring.page.answer_forms import ROLLOUTS, VALIDATION, AnswersForm, TakeForm
from monitoring.page.between_forms import BetweenForm, step_name
from platform_site.bounded.limits import TooMuch
from platform_site.commands import FieldError, FormError, JsonCommand
from platform_site.fields import asked_key

WHOLE = 16 << 20  # characters of all texts together; a page shows fewer
NAMES = (
    "step", "regex", "low", "high", "shortest", "longest", "part", "part_low", "part_high", "only",
    "sort", "page", "prompt",
)  # fmt: skip

NOT_BESIDE = (
    "each", "low", "high", "shortest", "longest", "part", "part_low", "part_high", "over_steps",
    "data_set",
)  # fmt: skip


class Command(JsonCommand):
    help = "Show the answers of a step, those to one prompt, or how all steps did."

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("id", type=int)
        parser.add_argument("--step", default="", help="default: the newest")
        parser.add_argument("--validation", action="store_true", help="instead of the rollouts")
        parser.add_argument("--each", action="store_true", help="list answers, not prompts")
        parser.add_argument("--search", default="", help="text in the prompt or an answer")
        parser.add_argument("--regex", action="store_true", help="the text is a regular expression")
        parser.add_argument("--low", default="", help="the lowest score")
        parser.add_argument("--high", default="", help="the highest score")
        parser.add_argument("--shortest", default="", help="the least length")
        parser.add_argument("--longest", default="", help="the greatest length")
        parser.add_argument("--part", default="", help="a part of the reward")
        parser.add_argument("--part-low", default="", help="its lowest value")
        parser.add_argument("--part-high", default="", help="its highest value")
        parser.add_argument("--only", choices=(*ONLY, *VERDICTS), default="")
        sorts = ", ".join(dict.fromkeys((*SORTS[PROMPTS], *SORTS[ANSWERS])))
        beside = "with --with change, mean:N, length:N"
        parser.add_argument(
            "--sort", default="", help=f"{sorts}, part:PART; {beside}; -NAME: greatest first"
        )
        parser.add_argument("--page", default="")
        parser.add_argument("--prompt", default="", help="a key of the list: show its answers")
        parser.add_argument("--over-steps", action="store_true", help="the figures of all steps")
        parser.add_argument(
            "--with", dest="others", action="append", default=[], metavar="ID[@STEP]",
            help="another job: lay its answers to the same prompts beside; may be given again",
        )  # fmt: skip
        parser.add_argument("--data-set", default="", help="make a data set of them, so named")

    def handle(self, *args: Any, **options: Any) -> None:
        job = find_job(options["id"])
        if options["others"]:
            self.show(options, *self.beside(job, options))
            return
        form = form_of(options)
        if not form.is_valid():
            raise refusal(form)
        kind = form.kind_asked
        steps = answers.steps_of(job, kind, form.cleaned_data["step"])
        if steps.shown is None:
            raise CommandError(answers.why_none(job, kind))
        if form.cleaned_data["step"] not in (None, steps.shown.step):
            nearest = f"The nearest step that has any is {steps.shown.step}."
            asked = form.cleaned_data["step"]
            raise FieldError("step", f"There are no answers of step {asked}. {nearest}")
        try:
            data, text = self.found(job, steps, form, options)
        except (OSError, TooMuch, answer_taking.CannotTake) as error:
            raise CommandError(str(error)) from error
        about = {
            "job": job.pk, "kind": kind, "step": steps.shown.step, "file": str(steps.shown.path),
        }  # fmt: skip
        also = {"lost": answers.lost_in(job, steps), "incomplete": answers.incomplete(job)}
        self.show(options, {**about, **data, **also}, text)

    def beside(self, job: Any, options: dict[str, Any]) -> output.Said:
        """The answers of further jobs to the same prompts."""
        if unfit := [name for name in NOT_BESIDE if options[name]]:
            option = "--" + unfit[0].replace("_", "-")
            raise FieldError(unfit[0], f"{option} does not go with --with.")
        steps = {job: options["step"], **dict(map(other_of, options["others"]))}
        if not 1 < len(steps) <= MOST_RUNS:
            raise FieldError("with", f"Name one to {MOST_RUNS - 1} other jobs.")
        form = BetweenForm(
            {
                "kind": VALIDATION if options["validation"] else ROLLOUTS,
                "q": options["search"],
                **{name: options[name] for name in ("regex", "only", "sort", "page", "prompt")},
                **{step_name(one): step for one, step in steps.items()},
            },
            [*steps],
        )
        if not form.is_valid():
            raise refusal(form)
        runs = between.runs_of([*steps], form.kind_asked, form.steps_asked)
        if not runs.can_compare:
            raise CommandError(" ".join(why for _, why in runs.without))
        try:
            data, text = self.laid(runs, form)
        except (OSError, TooMuch) as error:
            raise CommandError(str(error)) from error
        return {**between_output.about(runs), **data}, text

    def laid(self, runs: between.Runs, form: BetweenForm) -> output.Said:
        if key := form.cleaned_data["prompt"]:
            if found := between.prompt_asked(runs, key, WHOLE):
                return between_output.prompt(runs, found)
            raise FieldError("prompt", f"None of the jobs has a prompt {key} in its step.")
        page = between.page_asked(runs, form.question(), form.other)
        return between_output.page(runs, page)

    def found(
        self, job: Any, steps: answers.Steps, form: AnswersForm, options: dict[str, Any]
    ) -> tuple[dict[str, Any], str]:
        key = form.cleaned_data["prompt"]
        if name := options["data_set"]:
            return self.taken(job, form, name)
        if options["over_steps"]:
            if not key:
                return output.spread(answers.spread_asked(job, steps))
            rows = answers.prompt_over_asked(job, steps, key)
            if rows is not None:
                return output.over(rows)
        elif key:
            if one := answers.prompt_asked(job, steps, key, WHOLE):
                return output.prompt(*one)
        elif page := answers.page_asked(job, steps, form):
            data, text = output.page(*page)
            return {"steps": [file.step for file in steps.files], **data}, text
        raise FieldError("prompt", f"There is no prompt {key} in this step.")

    def taken(self, job: Any, form: AnswersForm, name: str) -> tuple[dict[str, Any], str]:
        wanted = TakeForm({"do": "data", "name": name})
        if not wanted.is_valid():
            raise refusal(wanted)
        source = answer_taking.import_answers(job, form, name, None)
        said = f"{name} is being imported: manage.py dataset columns '{name}' shows it then."
        return {"dataset": name, "source": source.pk}, said


def other_of(text: str) -> tuple[Job, str]:
    """The job and the step that ``ID[@STEP]`` names."""
    number, _, step = text.partition("@")
    if asked_key(number) is None:
        raise FieldError("with", f"--with {text}: write the number of a job, or ID@STEP.")
    return find_job(int(number)), step


def form_of(options: dict[str, Any]) -> AnswersForm:
    kind = VALIDATION if options["validation"] else ROLLOUTS
    of = ANSWERS if options["each"] else PROMPTS
    given = {name: options[name] for name in NAMES}
    return AnswersForm({**given, "kind": kind, "of": of, "q": options["search"]})


def refusal(form: AnswersForm | BetweenForm | TakeForm) -> FormError:
    text = "; ".join(str(error) for errors in form.errors.values() for error in errors)
    return FormError(text, form)
