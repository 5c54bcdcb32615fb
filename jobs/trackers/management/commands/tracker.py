import sys
from argparse import ArgumentParser
from getpass import getpass
from typing import Any

from django.contrib.auth.models import User

from jobs.management.base import find_user
from jobs.trackers import accounts
from jobs.verl.trackers import TRACKERS, Tracker
from platform_site.commands import FieldError, JsonCommand


class Command(JsonCommand):
    help = (
        "A user's accounts at trackers. The value to set is asked for, or read from the standard "
        "input; it is never an argument, which every process on the machine could read."
    )

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("do", choices=("set", "list", "remove"))
        parser.add_argument("tracker", nargs="?", choices=tuple(TRACKERS))
        parser.add_argument("variable", nargs="?", help="such as WANDB_API_KEY")
        parser.add_argument("--user", default="", help="whose (default: the first administrator)")

    def handle(self, *args: Any, **options: Any) -> None:
        user = find_user(options["user"])
        if options["do"] == "list":
            data = listed(user)
            self.show(options, data, "\n".join(map(in_words, data)))
            return
        if not options["tracker"]:
            raise FieldError("tracker", f"Name the tracker: {', '.join(TRACKERS)}.")
        tracker, variable = TRACKERS[options["tracker"]], options["variable"] or ""
        text = (put if options["do"] == "set" else take)(user, tracker, variable)
        self.show(options, {"tracker": tracker.name, "variable": variable}, text)


def put(user: User, tracker: Tracker, variable: str) -> str:
    if problem := accounts.unknown(tracker, variable):
        raise FieldError("variable", problem)
    value = read_value(variable)
    if problem := accounts.fault(tracker, variable, value):
        raise FieldError("variable", problem)
    if not value:
        raise FieldError(
            "variable", "Nothing was given. To forget a variable: manage.py tracker remove."
        )
    accounts.keep(user, tracker, {variable: value})
    return f"{tracker.label}: {variable} kept."


def take(user: User, tracker: Tracker, variable: str) -> str:
    count = accounts.remove(user, tracker, variable)
    if not count:
        raise FieldError("variable", f"{tracker.label}: {variable or 'nothing'} was not set.")
    return f"{tracker.label}: {variable or 'all'} removed."


def read_value(variable: str) -> str:
    if sys.stdin.isatty():
        return getpass(f"{variable}: ").strip()
    return sys.stdin.readline().strip()


def listed(user: User) -> list[dict[str, Any]]:
    return [
        {
            "tracker": account["tracker"].name,
            "variable": variable.name,
            "set_at": set_at and set_at.isoformat(),
        }
        for account in accounts.overview(user)
        for variable, set_at in account["variables"]
    ]


def in_words(row: dict[str, Any]) -> str:
    return f"{row['tracker']:<8} {row['variable']:<26} {row['set_at'] or 'not set'}"
