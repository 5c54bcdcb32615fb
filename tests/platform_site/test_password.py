"""Users change their password on the site."""

import pytest
from django.contrib.auth.models import User
from django.test import Client

from tests.pages import asks_for_login

URL = "/accounts/password/"
OLD, NEW = "an old word of 3", "a new word of 17"


@pytest.fixture
def signed_in(client: Client, user: User) -> Client:
    user.set_password(OLD)
    user.save()
    client.force_login(user)
    return client


def change(page: Client, old: str = OLD, new: str = NEW, again: str = "") -> str:
    form = {"old_password": old, "new_password1": new, "new_password2": again or new}
    return page.post(URL, form, follow=True).content.decode()


@pytest.mark.django_db
def test_only_for_those_who_are_signed_in() -> None:
    assert asks_for_login(URL)


def test_a_changed_password_signs_out_elsewhere_and_not_here(signed_in: Client, user: User) -> None:
    elsewhere = Client()
    elsewhere.force_login(user)
    assert "Your password is changed." in change(signed_in)
    user.refresh_from_db()
    assert user.check_password(NEW)
    assert signed_in.get(URL).status_code == 200
    assert elsewhere.get(URL).status_code == 302


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({"old": "wrong"}, "Your old password was entered incorrectly"),
        ({"again": "another"}, "fields didn\u2019t match"),
        ({"new": "short"}, "at least 8 characters"),
        ({"new": "password123"}, "too common"),
        ({"new": ""}, "This field is required"),
    ],
)
def test_a_refused_one_changes_nothing(
    signed_in: Client, user: User, form: dict[str, str], error: str
) -> None:
    assert error in change(signed_in, **form)
    user.refresh_from_db()
    assert user.check_password(OLD)


def test_each_page_leads_there(signed_in: Client) -> None:
    assert f'href="{URL}"' in signed_in.get("/").content.decode()
