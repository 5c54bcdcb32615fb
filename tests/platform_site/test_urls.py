from django.contrib.staticfiles import finders
from django.templatetags.static import static
from django.test import Client


def test_a_browser_that_guesses_the_icons_name_gets_it_without_a_login(client: Client) -> None:
    answer = client.get("/favicon.ico")

    assert answer.status_code == 302
    assert answer["Location"] == static("img/favicon.svg")
    assert finders.find("img/favicon.svg")
