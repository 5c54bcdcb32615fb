from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from evaluations.gates import services
from evaluations.gates.forms import GateForm
from jobs.management.base import add_verb_arguments, find_job, find_user
from jobs.models import Gate
from platform_site.commands import FieldError, FormError, JsonCommand


class Command(JsonCommand):
    help = "Let a job start only if an evaluation finds its model good enough; show or remove that."

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        add_verb_arguments(parser)
        parser.add_argument("--on", type=int, metavar="JOB", help="the evaluation")
        parser.add_argument("--metric", default="", help="such as eval/score/mean")
        parser.add_argument("--at-least", type=float)
        parser.add_argument("--at-most", type=float)
        parser.add_argument("--not-worse-than", type=int, metavar="JOB", help="another evaluation")
        parser.add_argument("--better-than", type=int, metavar="JOB", help="another evaluation")
        parser.add_argument("--margin", type=float, help="how much worse is as good")
        parser.add_argument("--remove", action="store_true", help="let it start without a gate")

    def handle(self, *args: Any, **options: Any) -> None:
        job, user = find_job(options["id"]), find_user(options["user"])
        if options["remove"]:
            services.remove_gate(job, who=user.get_username())
        elif options["better_than"] is not None and options["not_worse_than"] is not None:
            raise FieldError("better_than", "Say one of --better-than and --not-worse-than.")
        elif options["on"] is not None:
            other = options["better_than"] or options["not_worse_than"]
            names = ("on", "metric", "at_least", "at_most", "margin")
            data = {name: options[name] for name in names}
            data |= {"other": other, "better": "better" if options["better_than"] else ""}
            form = GateForm(user, data)
            if not form.is_valid():
                raise FormError(
                    " ".join(str(said) for each in form.errors.values() for said in each), form
                )
            try:
                services.set_gate(
                    job, form.cleaned_data["on"], form.limit, form.cleaned_data["other"],
                    who=user.get_username(),
                )  # fmt: skip
            except services.NotSet as error:
                raise CommandError(str(error)) from error
        gate = Gate.objects.filter(job=job).first()
        told, facts = "It has no gate.", None
        if gate:
            told = f"It starts if {gate.words}. {gate.said}{gate.failure}".strip()
            facts = services.facts_of(gate)
        self.show(options, facts, told)
