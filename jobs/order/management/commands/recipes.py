from argparse import ArgumentParser
from typing import Any

from django.contrib.auth.models import User

from datasets.models import Version
from datasets.services import find_version
from jobs.management.base import find_user
from jobs.order import on_data, shelf
from jobs.order.shelf import FILTERS, KINDS, SIZES, WHOSE, Offer
from platform_site.commands import FieldError, JsonCommand


class Command(JsonCommand):
    help = "List the recipes: one's own, marked by a star, then those that can run here."

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--kind", default="", choices=list(KINDS), help="of the job")
        parser.add_argument("--size", default="", choices=list(SIZES), help="of the model")
        parser.add_argument("--whose", default="", choices=list(WHOSE), help="own or Trainyard's")
        parser.add_argument("--find", default="", dest="q", help="words in title and purpose")
        parser.add_argument("--here", action="store_true", help="only what can run here")
        parser.add_argument(
            "--dataset", default="", metavar="NAME[@VERSION]", help="those that train on this data"
        )
        parser.add_argument("--user", default="", help="whose (default: the first administrator)")

    def handle(self, *args: Any, **options: Any) -> None:
        nobody = not options["user"] and not User.objects.filter(is_superuser=True).exists()
        offers = shelf.offers(None if nobody else find_user(options["user"]))
        found = on_data.fitting(offers, version_of(options["dataset"]))
        fitting = shelf.filtered(found, {name: options[name] for name in FILTERS})
        sections = shelf.sections(fitting)
        listed = [offer for part in sections for _, group in part.groups for offer in group]
        width = max((len(offer.recipe.slug) for offer in listed), default=0)
        lines = []
        for part in sections:
            lines += [f"{part.title}:"]
            lines += [in_words(offer, width) for _, group in part.groups for offer in group]
        text = "\n".join(lines) or "No recipe fits."
        self.show(options, [as_data(offer) for offer in listed], text)


def version_of(label: str) -> Version | None:
    try:
        return find_version(label) if label else None
    except ValueError as error:
        raise FieldError("dataset", str(error)) from None


def as_data(offer: Offer) -> dict[str, Any]:
    recipe = offer.recipe
    return {
        "name": recipe.slug,
        "kind": recipe.kind,
        "title": recipe.title,
        "purpose": recipe.purpose,
        "needs": recipe.needs,
        "sizes": recipe.sizes,
        "is_sample": recipe.is_sample,
        "is_own": offer.is_own,
        "runs_here": offer.runs,
        "machine": offer.where if offer.runs else None,
        "why_not": "" if offer.runs else offer.where,
        "values": dict(recipe.values),
    }


def in_words(offer: Offer, width: int) -> str:
    recipe, star = offer.recipe, "*" if offer.is_own else " "
    why = "" if offer.runs else f" ({offer.where})"
    return f"{star} {recipe.slug:<{width}}  {recipe.kind:<4}  {recipe.purpose or recipe.title}{why}"
