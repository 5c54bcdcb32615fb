from argparse import ArgumentParser
from collections.abc import Sequence
from typing import Any

from django.contrib.auth.models import User

from jobs.artifacts.story import known_of
from jobs.management.base import find_job
from jobs.models import Job
from platform_site.commands import FieldError
from surgery.averages.forms import METHODS, AverageForm
from surgery.kinds.average import UNIFORM
from surgery.making.management.base import MakeCommand


class Command(MakeCommand):
    help = "Average checkpoints of a run, or models, by a job on their machine."

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("models", nargs="*", help="folders of the machine")
        parser.add_argument("--job", type=int, help="the whole checkpoints of this run")
        parser.add_argument("--steps", type=int, nargs="+", default=[], help="only of these steps")
        parser.add_argument("--method", choices=list(METHODS), default=UNIFORM)
        parser.add_argument("--last", type=int, metavar="K", help="with the method last")
        parser.add_argument("--decay", type=float, help="with the method ema, from 0 to 1")
        parser.add_argument("--weights", nargs="+", default=[], help="with the method weights")
        parser.add_argument("--metric", default="", help="with metric or greedy: its name")
        parser.add_argument("--better", choices=("higher", "lower"), default="")
        parser.add_argument("--judge", type=int, metavar="JOB",
                            help="with the method greedy: the run of SFT that scores")  # fmt: skip
        parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="")
        super().add_own_arguments(parser)

    def form(self, user: User, data: dict[str, Any], options: dict[str, Any]) -> AverageForm:
        job = None if options["job"] is None else find_job(options["job"])
        if job and not options["machine"]:
            data["machine"] = job.machine_id
        paths = [*options["models"], *_saved(job, options["steps"])]
        names = ("method", "decay", "metric", "better", "judge", "dtype")
        given = {name: options[name] for name in names} | {
            "more_models": "\n".join(paths),
            "last_count": options["last"],
            "weights": " ".join(options["weights"]),
        }
        return AverageForm(user, [], data | given)


def _saved(job: Job | None, steps: Sequence[int]) -> list[str]:
    """The checkpoints of the run that was named. Raises ``FieldError``."""
    if job is None:
        if steps:
            raise FieldError("steps", "--steps goes with --job: say of which run.")
        return []
    asked = set(steps)
    whole = {each.step: each.folder for each in known_of(job) if each.artifact.is_whole}
    if lacking := asked - set(whole):
        known = ", ".join(map(str, sorted(whole))) or "none"
        raise FieldError("steps", f"Job {job.pk} has no whole checkpoint of step "
                         f"{min(lacking)}. It has: {known}.")  # fmt: skip
    return [path for step, path in sorted(whole.items()) if not asked or step in asked]
