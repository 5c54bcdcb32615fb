import re
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from compute.models import Machine, Price
from compute.prices import table
from tests import factories
from tests.pages import asks_for_login, queries, refuses_other_methods

URL = "/machines/prices/"
CARD = "card-h100-80g"


@pytest.fixture
def box(db: None) -> Machine:
    return factories.make_ssh_machine(name="box")


def prices() -> dict[str, str]:
    return {price.card or str(price.machine): price.text for price in Price.objects.all()}


def sent(page: Client, **fields: str) -> dict[str, str]:
    """The fields of the page as a browser sends them back, with others in their place."""
    content = page.get(URL).content.decode()
    inputs = re.findall(r"<input[^>]*>", content)
    named = {_of(tag, "name"): _of(tag, "value") for tag in inputs if _of(tag, "name")}
    return named | fields


def _of(tag: str, attribute: str) -> str:
    found = re.search(rf'\b{attribute}="([^"]*)"', tag)
    return found[1] if found else ""


def test_what_staff_write_is_kept_and_said_by_whom(boss: Client, box: Machine) -> None:
    name = f"machine-{box.pk}"
    answer = boss.post(URL, sent(boss, **{CARD: "2.10", name: "12"}), follow=True)
    assert answer.redirect_chain == [(URL, 302)]
    assert "2 prices kept." in answer.content.decode()
    assert prices() == {"h100-80g": "2.10", "box": "12.00"}
    assert set(Price.objects.values_list("changed_by", flat=True)) == {"root"}
    event = box.events.get()
    assert (event.kind, event.who, event.message) == ("price set", "root", "12.00 USD an hour.")


@pytest.mark.parametrize(
    ("per_hour", "text"),
    [("0", "0.00"), ("2.1", "2.10"), ("2.1050", "2.105"), ("100", "100.00"), ("0.0004", "0.0004")],
)
def test_the_number_of_a_price(per_hour: str, text: str) -> None:
    assert Price(per_hour=Decimal(per_hour)).text == text


def test_an_empty_field_forgets_the_price(boss: Client, box: Machine) -> None:
    table.keep("h100-80g", Decimal("2.1"))
    table.keep(box, Decimal(12))
    boss.post(URL, sent(boss, **{CARD: "", f"machine-{box.pk}": ""}))
    assert prices() == {}


def test_what_was_not_changed_stays_as_others_set_it_meanwhile(boss: Client, box: Machine) -> None:
    table.keep("h100-80g", Decimal("2.1"))
    mine = sent(boss, **{f"machine-{box.pk}": "12"})
    table.keep("h100-80g", Decimal(3), who="ada")
    boss.post(URL, mine)
    assert prices() == {"h100-80g": "3.00", "box": "12.00"}


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("-1", "from 0 to 1,000,000"),
        ("1000001", "from 0 to 1,000,000"),
        ("1e99", "from 0 to 1,000,000"),
        ("nan", "Write a number"),
        ("much", "Write a number"),
        ("2.12345", "no more than 4 decimal places"),
    ],
)
def test_an_absurd_price_is_refused_at_its_field(
    boss: Client, box: Machine, value: str, says: str
) -> None:
    answer = boss.post(URL, sent(boss, **{CARD: value, f"machine-{box.pk}": "12"}))
    assert answer.status_code == 422
    content = answer.content.decode()
    error = re.search(rf'<p id="error-{CARD}"[^>]*>(.*?)</p>', content)
    assert error
    assert says in error[1]
    assert f'value="{value}"' in content
    assert prices() == {}


def test_everybody_sees_the_prices_and_only_staff_change_them(page: Client, box: Machine) -> None:
    table.keep("h100-80g", Decimal("2.1"), who="root")
    content = page.get(URL).content.decode()
    assert "2.10 USD" in content
    assert "by root" in content
    assert f'name="{CARD}"' not in content
    assert page.post(URL, {CARD: "1"}).status_code == 403
    assert prices() == {"h100-80g": "2.10"}


def test_the_currency_is_the_sites(page: Client, settings: Settings) -> None:
    settings.TRAINYARD_CURRENCY = "EUR"
    table.keep("h100-80g", Decimal(1234))
    content = page.get(URL).content.decode()
    assert "EUR for an hour of one GPU" in content
    assert "1,234 EUR" in content


def test_machines_together_have_no_price_of_their_own(boss: Client, box: Machine) -> None:
    factories.make_machine(kind=Machine.Kind.GROUP, name="together")
    content = boss.get(URL).content.decode()
    assert ">box</label>" in content
    assert "together" not in content


def test_login_and_methods(boss: Client) -> None:
    assert asks_for_login(URL)
    assert refuses_other_methods(boss, URL, "get", "post")


def test_the_same_queries_for_one_machine_and_three(boss: Client, box: Machine) -> None:
    boss.get(URL)
    counts = []
    for rows in (1, 2):
        for _ in range(rows):
            table.keep(factories.make_ssh_machine(), Decimal(1))
        counts.append(queries(boss, URL))
    assert counts[0] == counts[1]


def test_the_admin_changes_prices_through_the_service(boss: Client, box: Machine) -> None:
    url = "/admin/compute/price/"
    form: dict[str, Any] = {"card": "", "machine": box.pk, "per_hour": "12"}
    assert boss.post(f"{url}add/", form).status_code == 302
    assert prices() == {"box": "12.00"}
    row = f"{url}{Price.objects.get().pk}"
    assert boss.post(f"{row}/change/", {"per_hour": "13"}).status_code == 302
    assert prices() == {"box": "13.00"}
    boss.post(f"{row}/delete/", {"post": "yes"})
    assert prices() == {}
    told = [event.message for event in box.events.all()]
    assert told == ["12.00 USD an hour.", "13.00 USD an hour.",
                    "It has no price of its own any more."]  # fmt: skip


@pytest.mark.parametrize(
    ("form", "says"),
    [
        ({"per_hour": "1"}, "name one of them"),
        ({"card": "h100-80g", "machine": "box", "per_hour": "1"}, "name one of them"),
        ({"card": "h100-80g", "per_hour": "-1"}, "greater than or equal to 0"),
        ({"card": "no-such-card", "per_hour": "1"}, "Select a valid choice"),
    ],
)
def test_the_admin_refuses_what_has_no_price(
    boss: Client, box: Machine, form: dict[str, str], says: str
) -> None:
    given = form | ({"machine": str(box.pk)} if "machine" in form else {})
    answer = boss.post("/admin/compute/price/add/", given)
    assert answer.status_code == 200
    assert says in answer.content.decode()
    assert prices() == {}
