import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from compute.models import Price
from platform_site.commands import NamedError
from tests import factories


def prices(*arguments: str) -> dict[str, Any]:
    out = StringIO()
    call_command("prices", *arguments, "--json", stdout=out)
    told: dict[str, Any] = json.loads(out.getvalue())
    return told


def test_sets_shows_and_forgets(staff: object) -> None:
    factories.make_ssh_machine(name="box=1")
    told = prices("--set", "h100-80g=2.10", "--machine", "box=1=12.5")
    assert told["currency"] == "USD"
    [card] = [one for one in told["cards"] if one["card"] == "h100-80g"]
    assert (card["per_gpu_hour"], card["changed_by"]) == (2.1, "root")
    [machine] = [one for one in told["machines"] if one["machine"] == "box=1"]
    assert machine["per_hour"] == 12.5
    told = prices("--set", "h100-80g=none", "--machine", "box=1=")
    assert not Price.objects.exists()
    assert {one["per_gpu_hour"] for one in told["cards"]} == {None}


def test_prints_those_that_have_a_price_for_people(db: None) -> None:
    out = StringIO()
    call_command("prices", stdout=out)
    assert out.getvalue().startswith("No price is known yet")
    out = StringIO()
    call_command("prices", "--set", "h100-80g=2.1", stdout=out)
    assert out.getvalue() == "h100-80g                         2.10 USD an hour of a GPU\n"


@pytest.mark.parametrize(
    ("arguments", "field", "says"),
    [
        (["--set", "h100-80g=-1"], "card-h100-80g", "from 0 to"),
        (["--set", "h100-80g"], "set", "write NAME=PRICE"),
        (["--set", "abacus=1"], "set", "no card abacus"),
        (["--machine", "nowhere=1"], "machine", "no machine nowhere"),
        (["--machine", "together=1"], "machine", "what its machines cost"),
        (["--set", "h100-80g=1", "--user", "nobody"], "user", "no such user"),
    ],
)
def test_refuses_by_the_name(db: None, arguments: list[str], field: str, says: str) -> None:
    factories.make_machine(name="together", kind="group")
    with pytest.raises(CommandError, match=says) as refused:
        prices(*arguments)
    assert isinstance(refused.value, NamedError)
    assert [problem["field"] for problem in refused.value.problems] == [field]
    assert not Price.objects.exists()
