from typing import Any

from jobs.management.base import JsonCommand
from jobs.verl.recipes import all_recipes


class Command(JsonCommand):
    help = "List the recipes."

    def handle(self, *args: Any, **options: Any) -> None:
        recipes = all_recipes().values()
        data = [
            {
                "name": recipe.slug,
                "kind": recipe.kind,
                "title": recipe.title,
                "purpose": recipe.purpose,
                "needs": recipe.needs,
                "is_sample": recipe.is_sample,
                "values": dict(recipe.values),
            }
            for recipe in recipes
        ]
        text = "\n".join(f"{recipe.slug:<14} {recipe.purpose}" for recipe in recipes)
        self.show(options, data, text)
