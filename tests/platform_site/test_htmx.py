from django.contrib.auth.models import User
from django.test import Client

from tests.pages import HTMX


def test_a_login_that_expired_under_htmx_takes_the_whole_page(page: Client) -> None:
    assert page.get("/jobs/", headers=HTMX).status_code == 200
    page.logout()
    response = page.get("/jobs/", headers=HTMX)
    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["HX-Redirect"] == "/accounts/login/"


def test_other_redirects_under_htmx_stay_as_they_are(client: Client, user: User) -> None:
    response = client.get("/admin", headers=HTMX)
    assert "HX-Redirect" not in response.headers or response.status_code == 200


def test_login(client: Client, user: User) -> None:
    user.set_password("a good pass phrase")
    user.save()
    assert client.get("/accounts/login/").status_code == 200
    wrong = client.post("/accounts/login/", {"username": "ada", "password": "x"})
    assert wrong.status_code == 200
    data = {"username": "ada", "password": "a good pass phrase"}
    right = client.post("/accounts/login/?next=/jobs/", data)
    assert (right.status_code, right.headers["Location"]) == (302, "/jobs/")
    away = Client().post("/accounts/login/?next=https://evil.example/", data)
    assert away.headers["Location"] == "/"


def test_logout_is_a_post(page: Client) -> None:
    assert page.get("/accounts/logout/").status_code == 405
    assert page.post("/accounts/logout/").headers["Location"] == "/accounts/login/"
    assert page.get("/jobs/").status_code == 302


def test_every_page_has_the_strict_policy(page: Client) -> None:
    policy = page.get("/").headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert page.get("/").headers["X-Frame-Options"] == "DENY"


def test_not_found(page: Client) -> None:
    assert page.get("/nowhere/").status_code == 404
