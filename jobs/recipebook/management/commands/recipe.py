from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from jobs.management.base import find_job, find_user
from jobs.models import SavedRecipe
from jobs.recipebook import book, files
from jobs.recipebook.files import RecipeError
from jobs.recipebook.forms import RenameForm, SaveForm
from jobs.recipebook.management.base import find_recipe
from platform_site.commands import FieldError, FormError, JsonCommand


class Command(JsonCommand):
    help = "Keep a job as a recipe, rename one of one's own, write or read TOML, or remove one."

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("do", choices=tuple(DOES))
        parser.add_argument("what", help="a job's number, a recipe's name, or a TOML file")
        parser.add_argument("--title", default="", help="of the recipe (default: the job's)")
        parser.add_argument("--purpose", default="", help="what the saved recipe is for")
        parser.add_argument("--user", default="", help="whose (default: the first administrator)")

    def handle(self, *args: Any, **options: Any) -> None:
        data, text = DOES[options["do"]](options)
        self.show(options, data, text)


def save(options: dict[str, Any]) -> tuple[dict[str, Any], str]:
    if not options["what"].isdecimal():
        why = f"{options['what']} is no job's number. manage.py jobs lists them."
        raise FieldError("what", why)
    job = find_job(int(options["what"]))
    form = SaveForm({"title": options["title"] or job.name, "purpose": options["purpose"]})
    if not form.is_valid():
        raise FormError(form.first_error, form)
    given, user = form.cleaned_data, find_user(options["user"])
    return told(book.save_recipe(user, job, given["title"], given["purpose"]))


def export(options: dict[str, Any]) -> tuple[dict[str, Any], str]:
    recipe = find_recipe(options["what"], find_user(options["user"]))
    text = files.export_recipe(recipe)
    return {"name": recipe.slug, "toml": text}, text


def take(options: dict[str, Any]) -> tuple[dict[str, Any], str]:
    try:
        text = Path(options["what"]).read_text(encoding="utf-8-sig")
        return told(files.import_recipe(find_user(options["user"]), text))
    except (OSError, UnicodeDecodeError, RecipeError) as error:
        raise FieldError("what", f"{options['what']} was not taken. {error}") from None


def rename(options: dict[str, Any]) -> tuple[dict[str, Any], str]:
    saved = own(options)
    form = RenameForm({"title": options["title"]})
    if not form.is_valid():
        raise FormError(form.first_error, form)
    book.rename_recipe(saved, form.cleaned_data["title"])
    return told(saved)[0], f"{saved.slug} is called {saved.title} now."


def own(options: dict[str, Any]) -> SavedRecipe:
    user = find_user(options["user"])
    saved = SavedRecipe.objects.filter(owner=user, slug=options["what"]).first()
    if saved is None:
        raise FieldError("what", f"{user} has no recipe {options['what']} of their own.")
    return saved


def delete(options: dict[str, Any]) -> tuple[dict[str, Any], str]:
    saved = own(options)
    book.delete_recipe(saved)
    return {"name": saved.slug}, f"{saved.slug} is gone. Jobs made from it stay."


def told(saved: SavedRecipe) -> tuple[dict[str, Any], str]:
    data = {"name": saved.slug, "kind": saved.kind, "title": saved.title}
    return data, f"Kept as the recipe {saved.slug}."


DOES = {"save": save, "rename": rename, "export": export, "import": take, "delete": delete}
