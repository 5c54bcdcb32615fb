from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from jobs.artifacts import deleting, shown
from jobs.artifacts.deleting import DeleteError, NeedsSecondWord
from jobs.management.base import find_user
from jobs.models import Artifact, Place
from platform_site.commands import FieldError, JsonCommand
from platform_site.counts import size_text


class Command(JsonCommand):
    help = "List what jobs made and read; pin, unpin and delete it."

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        listing = verbs.add_parser("list", help="newest first")
        listing.add_argument("--kind", default="", choices=["", *Artifact.Kind.values])
        listing.add_argument("--job", default="", help="the number of the job that made it")
        listing.add_argument("--state", default="", choices=["", *shown.STATES])
        listing.add_argument("--machine", default="", help="the machine's number")
        for verb, said in (("pin", "let nobody delete it"), ("unpin", "the reverse")):
            add_one(verbs.add_parser(verb, help=said))
        delete = verbs.add_parser("delete", help="from one machine, and wait for it")
        add_one(delete)
        delete.add_argument("--machine", default="", help="its name, where it lies on several")
        delete.add_argument("--sure", action="store_true", help="though a job could need it")
        for each in verbs.choices.values():
            each.add_argument("--json", action="store_true", help="print JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        getattr(self, f"do_{options['verb']}")(options)

    def do_list(self, options: dict[str, Any]) -> None:
        wanted = {name: options.get(name, "") for name in shown.FILTERS}
        rows = shown.filtered(Artifact.objects.all(), wanted)
        found = list(rows.prefetch_related("places__machine"))
        data = [shown.as_json(artifact) for artifact in found]
        self.show(options, data, "\n".join(map(shown.in_a_line, found)))

    def do_pin(self, options: dict[str, Any]) -> None:
        artifact = find(options["id"])
        deleting.pin(artifact, who=find_user(options["user"]).get_username())
        self.show(options, shown.as_json(artifact), f"The {artifact} is not deleted by anybody.")

    def do_unpin(self, options: dict[str, Any]) -> None:
        artifact = find(options["id"])
        deleting.unpin(artifact)
        self.show(options, shown.as_json(artifact), f"The {artifact} may be deleted.")

    def do_delete(self, options: dict[str, Any]) -> None:
        place = place_of(find(options["id"]), options["machine"])
        who = find_user(options["user"]).get_username()
        try:
            removal = deleting.delete_now(place, who=who, sure=options["sure"])
        except NeedsSecondWord as lost:
            raise CommandError(f"{lost} Say --sure to delete it all the same.") from None
        except DeleteError as error:
            raise CommandError(str(error)) from None
        data = {"artifact": place.artifact_id, "path": place.path, "freed": removal.freed}
        self.show(options, data, f"{place} is deleted: {size_text(removal.freed or 0)} freed.")


def add_one(parser: ArgumentParser) -> None:
    parser.add_argument("id", type=int)
    parser.add_argument("--user", default="", help="who asks (default: first administrator)")


def find(pk: int) -> Artifact:
    artifact = Artifact.objects.prefetch_related("places__machine").filter(pk=pk).first()
    if artifact is None:
        raise FieldError("id", f"There is no artifact {pk}. manage.py artifacts list shows them.")
    return artifact


def place_of(artifact: Artifact, machine: str) -> Place:
    places = artifact.places.there().select_related("machine", "artifact__job")
    found = [place for place in places if machine in ("", place.machine.name)]
    if not found:
        raise CommandError(f"The {artifact} lies nowhere that is known: see its page.")
    if len(found) > 1:
        names = ", ".join(place.machine.name for place in found)
        told = f"The {artifact} lies on several machines: name one of {names}."
        raise FieldError("machine", told)
    return found[0]
