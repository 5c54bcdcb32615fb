from argparse import ArgumentParser
from typing import Any

from jobs.artifacts.lineage import lineage, lines
from jobs.management.base import find_job
from jobs.models import Artifact, Job
from platform_site.commands import FieldError, JsonCommand


class Command(JsonCommand):
    help = "Show what an artifact or a job was made from, and what was made from it."

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("of", metavar="ARTIFACT|job:ID", help="manage.py artifacts list")

    def handle(self, *args: Any, **options: Any) -> None:
        row = named(options["of"])
        up, down = lineage(row, "up"), lineage(row, "down")
        data: dict[str, Any] = {"made_from": up.root.as_json(), "made_from_it": down.root.as_json()}
        data |= {"is_cut": True} if up.is_cut or down.is_cut else {}
        text = ["Made from:", *lines(up.root, 1), "Made from it:", *lines(down.root, 1)]
        self.show(options, data, "\n".join(text))


def named(text: str) -> Artifact | Job:
    """``12`` is an artifact, ``job:4`` a job."""
    sort, colon, number = text.rpartition(":")
    if not number.isdigit() or (colon and sort not in ("job", "artifact")):
        raise FieldError("of", f"{text!r} is neither an artifact's number nor job:ID.")
    if sort == "job":
        return find_job(int(number))
    artifact = Artifact.objects.filter(pk=int(number)).first()
    if artifact is None:
        raise FieldError(
            "of", f"There is no artifact {number}. manage.py artifacts list shows them."
        )
    return artifact
