from argparse import ArgumentParser
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User

from compute.models import Machine, Price
from compute.prices.forms import PriceForm, field_of
from compute.prices.table import price_table
from compute.sizing.gpus import catalogue
from platform_site.commands import FieldError, FormError, JsonCommand

NONE = ("", "none")


class Command(JsonCommand):
    help = "The price table: what an hour of one GPU of a card, or of a whole machine, costs."

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--set", action="append", default=[], metavar="CARD=2.10",
            help="of one GPU of a card, by its name in the catalogue; none forgets it",
        )  # fmt: skip
        parser.add_argument(
            "--machine", action="append", default=[], metavar="NAME=12",
            help="of a whole machine; none forgets it",
        )  # fmt: skip
        parser.add_argument("--user", default="", help="who does it (first administrator)")

    def handle(self, *args: Any, **options: Any) -> None:
        given = dict([*_cards(options["set"]), *_machines(options["machine"])])
        if given:
            form = PriceForm(only=given)
            if not form.is_valid():
                raise FormError(_faults(form), form)
            form.save(who=_who(options["user"]))
        data = as_json()
        self.show(options, data, as_text(data))


def _who(name: str) -> str:
    users = User.objects.filter(username=name) if name else User.objects.filter(is_superuser=True)
    user = users.order_by("pk").first()
    if user is None and name:
        raise FieldError("user", "There is no such user.")
    return user.get_username() if user else ""


def _cards(sets: list[str]) -> Iterator[tuple[str, str]]:
    for text in sets:
        card, price = _split("set", text)
        if card not in catalogue():
            raise FieldError("set", f"There is no card {card}. manage.py prices lists them.")
        yield f"card-{card}", price


def _machines(sets: list[str]) -> Iterator[tuple[str, str]]:
    for text in sets:
        name, price = _split("machine", text)
        machine = Machine.objects.kept().filter(name=name).first()
        if machine is None:
            raise FieldError("machine", f"There is no machine {name}.")
        if machine.is_group:
            raise FieldError("machine", f"{name} costs what its machines cost: price those.")
        yield field_of(machine), price


def _split(option: str, text: str) -> tuple[str, str]:
    name, sign, price = text.rpartition("=")
    if not sign:
        raise FieldError(option, f"--{option} {text}: write NAME=PRICE.")
    return name, "" if price in NONE else price


def _faults(form: PriceForm) -> str:
    lines = [
        f"  {form[name].label}: {' '.join(map(str, told))}" for name, told in form.errors.items()
    ]
    return "\n".join(["No price was changed:", *lines])


def as_json() -> dict[str, Any]:
    table = price_table()
    names = dict(Machine.objects.kept().values_list("pk", "name"))
    return {
        "currency": settings.TRAINYARD_CURRENCY,
        "cards": [
            {"card": slug, "name": card.name, **_price(table.cards.get(slug), "per_gpu_hour")}
            for slug, card in catalogue().items()
        ],
        "machines": [
            {"machine": name, **_price(table.machines.get(pk), "per_hour")}
            for pk, name in names.items()
        ],
    }


def _price(price: Price | None, name: str) -> dict[str, Any]:
    return {
        name: float(price.per_hour) if price else None,
        "changed_at": price.changed_at.isoformat() if price else None,
        "changed_by": price.changed_by if price else None,
    }


def as_text(data: dict[str, Any]) -> str:
    """Those that have a price; the catalogue is long."""
    priced = [(one["card"], one["per_gpu_hour"], "an hour of a GPU") for one in data["cards"]]
    priced += [(one["machine"], one["per_hour"], "an hour") for one in data["machines"]]
    lines = [
        f"{name:<24} {price:>12.2f} {data['currency']} {of}"
        for name, price, of in priced
        if price is not None
    ]
    return "\n".join(lines) or "No price is known yet: manage.py prices --set h100-80g=2.10"
