import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from jobs.rewards.forms import RewardForm
from jobs.rewards.trial import Scored, Trial, TrialError, try_reward
from platform_site.commands import FormError, JsonCommand


class Command(JsonCommand):
    help = "Try a reward function on rows of a data set or on answers given here."

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("action", choices=["try"])
        parser.add_argument("path", nargs="?", default="", help="the function's file")
        parser.add_argument("--builtin", action="store_true", help="verl's own scorers instead")
        parser.add_argument("--name", default="compute_score", help="the function in that file")
        parser.add_argument("--kwargs", default="", help="further arguments, as a JSON object")
        parser.add_argument("--dataset", default="", help="a data set, or a version as name@3")
        parser.add_argument("--data", default="", help="an RL parquet file to take prompts from")
        parser.add_argument("--rows", type=int, default=8, help="how many of its rows")
        parser.add_argument("--column", default="", help="its column with the answers")
        parser.add_argument("--truth-as-answer", action="store_true", help="answer with the truth")
        parser.add_argument("--question", default="")
        parser.add_argument("--truth", default="", help="the ground truth")
        parser.add_argument("--data-source", default="", help="chooses among verl's scorers")
        parser.add_argument("--answer", action="append", default=[], help="again for each answer")

    def handle(self, *args: Any, **options: Any) -> None:
        form = RewardForm(form_data(options))
        if not form.is_valid() or form.subject is None:
            raise FormError("\n".join(faults(form)), form)
        try:
            trial = try_reward(form.subject, form.cases)
        except TrialError as error:
            raise CommandError(str(error)) from error
        self.show(options, as_json(trial), as_text(trial))


def form_data(options: dict[str, Any]) -> dict[str, Any]:
    answers_from = "column" if options["column"] else "pasted"
    return {
        "scorer": "builtin" if options["builtin"] else "file",
        "path": options["path"],
        "name": options["name"],
        "kwargs": options["kwargs"],
        "rows": place_of_rows(options),
        "dataset": options["dataset"],
        "data_file": options["data"],
        "count": options["rows"],
        "answers_from": "truth" if options["truth_as_answer"] else answers_from,
        "column": options["column"],
        "question": options["question"],
        "ground_truth": options["truth"],
        "data_source": options["data_source"],
        "answers": "\n---\n".join(options["answer"]),
    }


def place_of_rows(options: dict[str, Any]) -> str:
    if options["dataset"]:
        return "version"
    return "file" if options["data"] else "pasted"


def faults(form: RewardForm) -> list[str]:
    return [
        f"{name}: {message}" if name in form.fields else str(message)
        for name, messages in form.errors.items()
        for message in messages
    ]


def as_json(trial: Trial) -> dict[str, Any]:
    return {
        "problem": trial.problem,
        "traceback": trial.traceback,
        "signature_problem": trial.signature_problem,
        "seconds": trial.seconds,
        "mean": trial.mean,
        "failed": trial.failed,
        "prompts_with_several_answers": trial.compared,
        "prompts_with_one_score": trial.flat,
        "answers": [scored_json(answer) for answer in trial.scored],
    }


def scored_json(answer: Scored) -> dict[str, Any]:
    return {
        "prompt": answer.case.group,
        "answer": answer.case.answer,
        "ground_truth": answer.case.ground_truth,
        "score": answer.score,
        "parts": dict(answer.parts),
        "seconds": answer.seconds,
        "kind": answer.kind,
        "problem": answer.problem,
        "traceback": answer.traceback,
        "output": answer.output,
    }


def as_text(trial: Trial) -> str:
    if trial.problem:
        return "\n".join(["It cannot be loaded.", trial.problem, trial.traceback]).rstrip()
    lines = [as_line(answer) for answer in trial.scored]
    several = f"{trial.flat} of {trial.compared} prompts with several answers give them one score"
    notes = [trial.signature_problem] if trial.signature_problem else []
    return "\n".join([*notes, *lines, several])


def as_line(answer: Scored) -> str:
    text = json.dumps(answer.case.answer, ensure_ascii=False)
    shown = text if len(text) <= 60 else text[:59] + "…"
    if answer.problem:
        return f"  failed  {shown}  {answer.problem}"
    parts = " ".join(f"{name}={value}" for name, value in answer.parts.items())
    return f"{answer.score:>8.4g}  {shown}  {parts}".rstrip()
