"""What the commands of surgery share: their arguments fill the form of the page."""

import uuid as uuids
from argparse import ArgumentParser
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import CommandError

from compute.machines.local import local_machine
from compute.models import Machine
from jobs.launch.management.submitting import add_wait_option, show_submitted
from jobs.launch.submit import NotSubmitted
from jobs.management.base import find_user
from platform_site.commands import FieldError, FormError, JsonCommand
from surgery.making.checks import SurgeryError
from surgery.making.forms import MakeForm
from surgery.making.services import make
from surgery.making.trying import in_words, look


class MakeCommand(JsonCommand):
    """A command whose options are those of a form. ``form`` gives that form."""

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--name", default="", help="the new job's name")
        parser.add_argument("--machine", default="", help="where the models lie (default: here)")
        parser.add_argument("--check", action="store_true", help="make no job, only check")
        parser.add_argument("--user", default="", help="who asks (default: first administrator)")
        add_wait_option(parser)

    def form(self, user: User, data: dict[str, Any], options: dict[str, Any]) -> MakeForm:
        """The form, filled by the options; ``data`` has what every form is asked for."""
        raise NotImplementedError

    def handle(self, *args: Any, **options: Any) -> None:
        owner, machine = find_user(options["user"]), machine_of(options["machine"])
        data = {"uuid": uuids.uuid4(), "machine": machine.pk, "name": options["name"]}
        form = self.form(owner, data, options)
        if not form.is_valid():
            raise FormError(
                " ".join(str(said) for each in form.errors.values() for said in each), form
            )
        if options["check"]:
            self._check(form, options)
            return
        try:
            made = make(form)
        except NotSubmitted as error:
            raise CommandError(str(error)) from error
        show_submitted(self, options, made)

    def _check(self, form: MakeForm, options: dict[str, Any]) -> None:
        machine: Machine = form.cleaned_data["machine"]
        try:
            seen = look(form.spec, machine)
        except SurgeryError as error:
            raise CommandError(str(error)) from error
        facts = {"kind": form.spec.kind, "machine": machine.name, **form.spec.to_json()}
        text = f"{form.default_name()}: nothing speaks against it. {in_words(seen)}"
        text = "\n".join([text, *form.details])
        self.show(options, {**facts, "seen": dict(seen)}, text)


def machine_of(name: str) -> Machine:
    """The machine of that name; without a name, this one. Raises ``FieldError``."""
    if not name:
        return local_machine()
    found = Machine.objects.for_jobs().filter(name=name).first()
    if found is None:
        raise FieldError("machine", f"There is no machine {name} that takes jobs.")
    return found
