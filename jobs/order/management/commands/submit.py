from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from jobs.fit.badge import Fit, fit_of, runs_on_gpus
from jobs.launch import submit
from jobs.launch.management.submitting import add_wait_option, show_submitted
from jobs.launch.submit import NotSubmitted
from jobs.management.base import warn
from jobs.order.management.base import add_recipe_arguments, filled_form
from jobs.rehearsal.services import submit_rehearsed
from jobs.warning import FieldWarning
from platform_site.commands import FieldError, JsonCommand


class Command(JsonCommand):
    help = "Submit a job from a recipe. With --wait the exit code is 0 only if it completed."

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        add_recipe_arguments(parser)
        parser.add_argument(
            "--rehearse-first",
            action="store_true",
            help="try it on this machine's CPU first; it starts only when that passed",
        )
        add_wait_option(parser)
        parser.add_argument(
            "--fit",
            action="store_true",
            help="start it only if it fits by the estimate: not where that is unsure or not known",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        form = filled_form(options)
        order = form.order()
        fit = fit_of(order.spec, order.machine) if runs_on_gpus(order.spec) else None
        if options["fit"]:
            refuse(fit)
        try:
            job = (
                submit_rehearsed(order)
                if options["rehearse_first"]
                else submit.submit(order, start=True)
            )
        except NotSubmitted as error:
            raise CommandError(str(error)) from error
        told = [FieldWarning("", fit.warning, "Memory")] if fit and fit.warning else []
        show_submitted(self, options, job, warnings=warn(self, [*form.warnings, *told]))


def refuse(fit: Fit | None) -> None:
    """Raise ``CommandError`` unless a job fits, and that is sure. Nothing is started then."""
    if fit is None:
        raise FieldError("fit", "Nothing was started: there is no estimate of a run on the CPU.")
    if fit.warning:
        raise FieldError("fit", f"Nothing was started: {fit.warning}")
    if fit.ledger is None:
        raise FieldError("fit", f"Nothing was started: whether it fits is not known. {fit.why}")
