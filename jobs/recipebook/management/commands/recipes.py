from argparse import ArgumentParser
from typing import Any

from django.contrib.auth.models import User

from jobs.management.base import find_user
from jobs.recipebook.book import OWN, every_recipe
from jobs.verl.recipes import all_recipes
from platform_site.commands import JsonCommand


class Command(JsonCommand):
    help = "List the recipes: a user's own, marked by a star, then Trainyard's."

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--user", default="", help="whose (default: the first administrator)")

    def handle(self, *args: Any, **options: Any) -> None:
        nobody = not options["user"] and not User.objects.filter(is_superuser=True).exists()
        book = all_recipes() if nobody else every_recipe(find_user(options["user"]))
        recipes = book.values()
        data = [
            {
                "name": recipe.slug,
                "kind": recipe.kind,
                "title": recipe.title,
                "purpose": recipe.purpose,
                "needs": recipe.needs,
                "is_sample": recipe.is_sample,
                "is_own": recipe.slug.startswith(OWN),
                "values": dict(recipe.values),
            }
            for recipe in recipes
        ]
        width = max((len(recipe.slug) for recipe in recipes), default=0)
        self.show(options, data, "\n".join(in_words(row, width) for row in data))


def in_words(row: dict[str, Any], width: int) -> str:
    star = "*" if row["is_own"] else " "
    return f"{star} {row['name']:<{width}} {row['purpose'] or row['title']}"
