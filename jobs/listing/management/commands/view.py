from argparse import ArgumentParser
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import CommandError
from django.http import QueryDict

from jobs.listing import columns, saved
from jobs.listing.fields import vocabulary
from jobs.listing.language.reading import read
from jobs.listing.language.words import NotRead
from jobs.listing.metrics import Metrics
from jobs.management.base import find_user
from jobs.models import Job, SavedView
from platform_site.commands import FieldError, JsonCommand


class Command(JsonCommand):
    help = "List, save or delete the views of the list of jobs that a user keeps."

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("action", choices=["list", "save", "delete"])
        parser.add_argument("name", nargs="?", default="")
        parser.add_argument("--where", default="", metavar="FILTER")
        parser.add_argument("--sort", default="", metavar="COLUMN")
        parser.add_argument("--column", action="append", default=[])
        parser.add_argument("--user", default="", help="whose (default: first administrator)")

    def handle(self, *args: Any, **options: Any) -> None:
        user, action = find_user(options["user"]), options["action"]
        if action != "list" and not options["name"]:
            raise FieldError("name", f"Name the view to {action}.")
        if action == "save":
            save(user, options)
        elif action == "delete":
            SavedView.objects.filter(pk=found(user, options["name"]).pk).delete()
        views = list(user.job_views.all())
        text = "\n".join(f"{view.name:<30} {view.query}" for view in views) or "There are no views."
        self.show(options, [{"name": view.name, "query": view.query} for view in views], text)


def found(user: User, name: str) -> SavedView:
    view = SavedView.objects.filter(owner=user, name=name).first()
    if view is None:
        raise FieldError("name", f"There is no view {name}: manage.py view list names all.")
    return view


def save(user: User, options: dict[str, Any]) -> None:
    try:
        read(options["where"], vocabulary(Metrics(Job.objects.visible_to(user))))
    except NotRead as error:
        raise FieldError("where", f"{error} (at character {error.at + 1})") from None
    query = QueryDict(mutable=True)
    query.update({"where": options["where"], "sort": options["sort"]})
    query.setlist("column", options["column"])
    kept = saved.query_of(query.urlencode(), columns.chosen_by(user))
    try:
        saved.save_view(user, options["name"], kept)
    except saved.TooMany as error:
        raise CommandError(str(error)) from None
