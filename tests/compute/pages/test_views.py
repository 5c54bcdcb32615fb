from django.contrib.auth.models import User
from django.test import Client

from compute.machines.load import record_sample
from compute.machines.local import local_machine
from tests import factories
from tests.pages import asks_for_login, queries, refuses_other_methods

URL = "/machines/"


def test_every_machine_with_its_load(page: Client) -> None:
    factories.make_machine(name="<box>")
    record_sample(local_machine())
    content = page.get(URL).content
    assert b"&lt;box&gt;" in content
    assert b"this machine" in content
    assert b"GiB" in content


def test_no_machine(page: Client) -> None:
    assert page.get(URL).status_code == 200


def test_a_machine_costs_one_query(page: Client) -> None:
    factories.make_machine()
    one = queries(page, URL)
    factories.make_machine()
    factories.make_machine()
    assert queries(page, URL) <= one + 2


def test_anonymous(user: User) -> None:
    assert asks_for_login(URL)


def test_wrong_method(page: Client) -> None:
    assert refuses_other_methods(page, URL, "get")
