import io

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.core.management import CommandError, call_command
from django.test import Client

from compute.runners.local.runner import LocalRunner
from jobs.models import TrackerSecret
from jobs.trackers import accounts
from jobs.verl.trackers import ALL, TRACKERS
from tests.pages import asks_for_login, queries, refuses_other_methods

URL = "/jobs/trackers/"
SET = "/jobs/trackers/wandb/"
REMOVE = "/jobs/trackers/wandb/WANDB_API_KEY/remove/"
KEY = "0123456789abcdef-the-api-key"
WANDB = TRACKERS["wandb"]


@pytest.fixture(autouse=True)
def packages(monkeypatch: pytest.MonkeyPatch) -> None:
    cache.clear()
    monkeypatch.setattr(LocalRunner, "lacking", lambda self, packages: {"mlflow"})


def test_shows_every_tracker_and_its_variables(page: Client) -> None:
    content = page.get(URL).content.decode()
    for tracker in ALL:
        assert tracker.label in content or tracker.label.replace("&", "&amp;") in content
        for variable in tracker.variables:
            assert f'<span class="key">{variable.name}</span>' in content
    assert "Not set" in content
    assert "<code>mlflow</code> is not in the training environment" in content
    assert "<code>wandb</code> is not" not in content


def test_set_and_never_shown_again(page: Client, user: User) -> None:
    response = page.post(SET, {"wandb-WANDB_API_KEY": f" {KEY} ", "wandb-WANDB_ENTITY": ""})
    assert (response.status_code, response.headers["Location"]) == (302, URL)
    secret = TrackerSecret.objects.get()
    assert (secret.owner, secret.tracker, secret.variable) == (user, "wandb", "WANDB_API_KEY")
    assert secret.value.open() == KEY
    content = page.get(URL).content.decode()
    assert KEY not in content
    assert "Weights &amp; Biases: WANDB_API_KEY kept." in content
    assert "Set <time" in content


def test_an_empty_field_leaves_a_value_as_it_is(page: Client, user: User) -> None:
    accounts.keep(user, WANDB, {"WANDB_API_KEY": KEY})
    page.post(SET, {"wandb-WANDB_API_KEY": "", "wandb-WANDB_ENTITY": "team"})
    values = {secret.variable: secret.value.open() for secret in TrackerSecret.objects.all()}
    assert values == {"WANDB_API_KEY": KEY, "WANDB_ENTITY": "team"}


def test_replace(page: Client, user: User) -> None:
    accounts.keep(user, WANDB, {"WANDB_API_KEY": "the-old-one"})
    page.post(SET, {"wandb-WANDB_API_KEY": KEY})
    assert TrackerSecret.objects.get().value.open() == KEY


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("WANDB_API_KEY", "two\nlines", "A value is one line of printable characters"),
        ("WANDB_API_KEY", "x" * 4001, "at most 4000"),
        ("WANDB_MODE", "sideways", "Select a valid choice"),
    ],
)
def test_bad_values_are_refused_and_not_given_back(
    page: Client, field: str, value: str, words: str
) -> None:
    sent = {"wandb-WANDB_API_KEY": "a-good-one", f"wandb-{field}": value}
    response = page.post(SET, sent)
    assert response.status_code == 422
    content = response.content.decode()
    assert words in content
    assert "a-good-one" not in content
    assert "x" * 4001 not in content
    assert TrackerSecret.objects.count() == 0


def test_remove(page: Client, user: User) -> None:
    accounts.keep(user, WANDB, {"WANDB_API_KEY": KEY, "WANDB_ENTITY": "team"})
    assert page.post(REMOVE).status_code == 302
    assert [secret.variable for secret in TrackerSecret.objects.all()] == ["WANDB_ENTITY"]
    assert page.post(REMOVE).status_code == 302


def test_each_user_sees_and_changes_their_own_only(page: Client, user: User, other: User) -> None:
    accounts.keep(other, WANDB, {"WANDB_API_KEY": KEY})
    assert "Set <time" not in page.get(URL).content.decode()
    page.post(REMOVE)
    page.post(SET, {"wandb-WANDB_API_KEY": "mine-not-theirs"})
    assert TrackerSecret.objects.get(owner=other).value.open() == KEY


def test_staff_sees_in_the_admin_that_a_key_is_set_and_not_which(
    client: Client, staff: User, other: User
) -> None:
    accounts.keep(other, WANDB, {"WANDB_API_KEY": KEY})
    client.force_login(staff)
    secret = TrackerSecret.objects.get()
    for url in ("", f"{secret.pk}/change/"):
        response = client.get(f"/admin/jobs/trackersecret/{url}")
        assert response.status_code == 200
        content = response.content.decode()
        assert "WANDB_API_KEY" in content
        assert KEY not in content
        assert "fernet:" not in content


def test_no_such_tracker(page: Client) -> None:
    assert page.post("/jobs/trackers/none/").status_code == 404
    assert page.post("/jobs/trackers/none/X/remove/").status_code == 404


def test_takes_the_same_queries_for_one_row_and_three(page: Client, user: User) -> None:
    accounts.keep(user, WANDB, {"WANDB_API_KEY": KEY})
    page.get(URL)
    one = queries(page, URL)
    accounts.keep(user, WANDB, {"WANDB_ENTITY": "a", "WANDB_MODE": "offline"})
    assert queries(page, URL) == one


@pytest.mark.parametrize("url", [URL, SET, REMOVE])
def test_anonymous(db: None, url: str) -> None:
    assert asks_for_login(url, "get" if url == URL else "post")


def test_wrong_method(page: Client) -> None:
    assert refuses_other_methods(page, URL, "get")
    assert refuses_other_methods(page, SET, "post")
    assert refuses_other_methods(page, REMOVE, "post")


def command(*argv: str, typed: str = "", monkeypatch: pytest.MonkeyPatch | None = None) -> str:
    out = io.StringIO()
    if monkeypatch:
        monkeypatch.setattr("sys.stdin", io.StringIO(typed))
    call_command("tracker", *argv, stdout=out)
    return out.getvalue()


def test_the_command_reads_the_value_from_its_input(
    staff: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = command("set", "wandb", "WANDB_API_KEY", typed=f"{KEY}\n", monkeypatch=monkeypatch)
    assert KEY not in said
    assert TrackerSecret.objects.get(owner=staff).value.open() == KEY
    listed = command("list", "--json")
    assert KEY not in listed
    assert '"variable": "WANDB_API_KEY", "set_at": "20' in listed
    assert "WANDB_ENTITY               not set" in command("list")
    assert "removed" in command("remove", "wandb", "WANDB_API_KEY")
    assert TrackerSecret.objects.count() == 0


def test_the_command_asks_at_a_terminal(staff: User, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr(
        "jobs.trackers.management.commands.tracker.getpass", lambda prompt: f"{KEY} "
    )
    command("set", "wandb", "WANDB_API_KEY")
    assert TrackerSecret.objects.get().value.open() == KEY


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["set", "wandb", "WANDB_KEY"], "has no variable WANDB_KEY. It has WANDB_API_KEY"),
        (["set", "wandb"], "has no variable without a name"),
        (["set", "tensorboard", "X"], "TensorBoard has no variable X. It needs no account."),
        (["set", "wandb", "WANDB_API_KEY"], "Nothing was given."),
        (["set"], "Name the tracker: wandb, tensorboard"),
        (["remove", "wandb"], "nothing was not set"),
        (["list", "--user", "nobody"], "There is no such user."),
    ],
)
def test_the_command_says_what_is_wrong(
    staff: User, monkeypatch: pytest.MonkeyPatch, argv: list[str], told: str
) -> None:
    with pytest.raises(CommandError, match=told):
        command(*argv, typed="\n", monkeypatch=monkeypatch)


def test_the_command_refuses_what_the_page_refuses(
    staff: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(CommandError, match="WANDB_MODE is one of online, offline"):
        command("set", "wandb", "WANDB_MODE", typed="x\n", monkeypatch=monkeypatch)
