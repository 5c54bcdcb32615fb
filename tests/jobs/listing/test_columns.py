"""The columns of the list: chosen, remembered, sorted by; and the views that keep them."""

import html
import re
from urllib.parse import urlencode

import pytest
from django.contrib.auth.models import User
from django.test import Client

from jobs.listing import marks
from jobs.listing.columns import MOST, column_of
from jobs.models import Job, ListColumns, SavedView
from platform_site.templatetags.ui import MISSING
from tests import factories
from tests.jobs.listing.test_job_list import names
from tests.pages import refuses_other_methods

LOSS = "train/loss"


@pytest.fixture
def measured(user: User) -> None:
    """Losses that go down and up again, of two of three jobs."""
    one, two, _ = (
        factories.make_job(user, name=f"job {name}", spec=factories.sft_spec(lr=lr).to_json())
        for name, lr in (("one", 0.5), ("two", 0.25), ("three", None))
    )
    factories.add_points(one, LOSS, {1: 5.0, 2: 1.0, 3: 4.0})
    factories.add_points(two, LOSS, {1: 9.0, 2: 3.0, 3: 3.0})
    factories.add_points(two, "actor/lr", {1: float("nan")})


def cells(page: Client, job: str, *columns: str) -> list[str]:
    query = urlencode({"q": job, "column": columns}, doseq=True)
    text = page.get(f"/jobs/?{query}").content.decode()
    found = re.findall(r'<td class="[^"]*chosen"[^>]*>(.*?)</td>', text, re.DOTALL)
    return [" ".join(re.sub("<[^>]*>", " ", cell).split()) for cell in found]


def test_shows_facts_knobs_and_figures(page: Client, measured: None) -> None:
    columns = ["lr", "recipe", f"{LOSS}:last", f"{LOSS}:best", f"{LOSS}:high", "no such", "lr"]
    assert cells(page, "one", *columns) == ["0.5", "sample-sft", "4", "1", "5"]
    assert cells(page, "three", *columns) == [MISSING, "sample-sft", MISSING, MISSING, MISSING]
    assert cells(page, "two", "actor/lr:last", "actor/lr:best") == ["nan", MISSING]


@pytest.mark.backends
@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        (f"{LOSS}:last", ["two", "one", "three"]),
        (f"-{LOSS}:last", ["one", "two", "three"]),
        (f"{LOSS}:low", ["one", "two", "three"]),
        (f"-{LOSS}:best", ["two", "one", "three"]),
        (f"-{LOSS}:high", ["two", "one", "three"]),
        ("lr", ["two", "one", "three"]),
        ("-lr", ["one", "two", "three"]),
        ("none:last", ["three", "two", "one"]),
        ("owner__password", ["three", "two", "one"]),
        ("spec__values__lr", ["three", "two", "one"]),
        ("-id", ["three", "two", "one"]),
        ("verl", ["three", "two", "one"]),
    ],
)
def test_sorts(page: Client, measured: None, sort: str, expected: list[str]) -> None:
    Job.objects.filter(name="job three").update(spec={"values": {}})
    assert names(page.get(f"/jobs/?{urlencode({'sort': sort})}").content) == (
        ["two", "one", "three"] if sort == "verl" else expected
    )


def test_pinned_jobs_stand_first(page: Client, user: User, measured: None, other: User) -> None:
    marks.pin(Job.objects.get(name="job two"), user, on=True)
    marks.pin(Job.objects.get(name="job three"), other, on=True)
    assert names(page.get("/jobs/?sort=name").content) == ["two", "one", "three"]


def test_chosen_columns_are_remembered_for_their_user(
    page: Client, client: Client, staff: User, user: User, measured: None
) -> None:
    chosen = {"column": ["lr", "", f" {LOSS}:best ", "lr"], "query": "q=one"}
    answer = page.post("/jobs/columns/", chosen)
    assert (answer.status_code, answer.url) == (302, "/jobs/?q=one")  # type: ignore[attr-defined]
    assert ListColumns.objects.get(user=user).columns == ["lr", f"{LOSS}:best"]
    assert cells(page, "one") == ["0.5", "1"]
    page.post("/jobs/columns/", {"column": ["lr"], "usual": "1"})
    assert ListColumns.objects.count() == 0
    page.post("/jobs/columns/", {"column": [""]})
    assert cells(page, "one") == []


@pytest.mark.parametrize(
    "columns",
    [["nonsense"], ["x:worst"], ["lr"] * (MOST + 1), ["x" * 300 + ":last"], ["x\0y:last"]],
)
def test_columns_that_there_are_not_are_refused_and_kept(
    page: Client, user: User, columns: list[str]
) -> None:
    answer = page.post("/jobs/columns/", {"column": columns, "query": "q=one"})
    text = answer.content.decode()
    assert answer.status_code == 422
    assert "There is no column" in text or "at most" in text
    assert text.count(f'value="{columns[0][:40]}') >= 1
    assert 'value="q=one"' in text
    assert not ListColumns.objects.exists()


@pytest.mark.backends
def test_a_column_that_no_database_can_hold_is_left_out(page: Client, user: User) -> None:
    """PostgreSQL refuses a text with a NUL in it, in a question too."""
    factories.make_job(user, name="job one")
    for query in ("column=%00", "column=x%00y:last", "column=x%00y:last&sort=x%00y:last"):
        answer = page.get(f"/jobs/?{query}")
        assert (answer.status_code, names(answer.content)) == (200, ["one"])
        assert answer.context["columns"] == []
    page.post("/jobs/views/", {"name": "odd", "query": "column=x%00y:last&q=%00&where=%00"})
    assert page.get(f"/jobs/?{SavedView.objects.get().query}").status_code == 200
    page.post("/jobs/views/", {"name": "a\0b", "query": "column=lr"})
    page.post("/jobs/views/", {"name": "raw", "query": "column=x\0y:last"})
    assert [view.name for view in SavedView.objects.all()] == ["odd"]
    assert column_of("x\0y:last") is None


def test_the_best_value_is_on_the_side_that_the_name_says() -> None:
    figures = {name: column_of(f"{name}:best") for name in ("val/loss", "val-core/x/acc", "lr/x")}
    assert [column and column.figure for column in figures.values()] == ["low", "high", ""]


def test_a_view_is_kept_with_its_columns_and_deleted(page: Client, user: User) -> None:
    query = "where=lr+%3E+0&sort=-lr&page=3&csrf=x"
    answer = page.post("/jobs/views/", {"name": "fast ones", "query": query}, follow=True)
    assert "The view fast ones is saved." in answer.content.decode()
    view = SavedView.objects.get()
    kept = "where=lr+%3E+0&sort=-lr&column=created&column=started&column=duration"
    assert (view.owner, view.query) == (user, kept)
    link = f'href="/jobs/?{kept}"'
    assert link in html.unescape(page.get("/jobs/").content.decode())
    page.post("/jobs/views/", {"name": "fast ones", "query": "q=a&column=lr"})
    assert SavedView.objects.get().query == "q=a&column=lr"
    page.post(f"/jobs/views/{view.pk}/delete/")
    assert not SavedView.objects.exists()


@pytest.mark.parametrize("name", ["", "x" * 61, "a\nb"])
def test_a_view_without_a_good_name_is_not_kept(page: Client, user: User, name: str) -> None:
    page.post("/jobs/views/", {"name": name, "query": "q=a"})
    assert not SavedView.objects.exists()


def test_the_view_of_somebody_else_is_not_there(page: Client, other: User) -> None:
    view = SavedView.objects.create(owner=other, name="theirs", query="q=their+secret")
    assert page.post(f"/jobs/views/{view.pk}/delete/").status_code == 404
    assert "theirs" not in page.get("/jobs/").content.decode()


def test_wrong_methods(page: Client) -> None:
    for url in ("/jobs/columns/", "/jobs/views/", "/jobs/views/1/delete/"):
        assert refuses_other_methods(page, url, "post")
