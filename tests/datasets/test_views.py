import re
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from pytest_django import Settings

from datasets import services, working
from datasets.models import Dataset, Source, Version
from platform_site.work.models import State
from tests import factories
from tests.pages import HTMX, asks_for_login, queries, refuses_other_methods

LIST, NEW, BROWSE = "/datasets/", "/datasets/new/", "/datasets/browse/"
HOSTILE = "<b>'\"; ../../é {{ 1 }}"


def upload(rows: bytes = b'{"question": "1+1=?", "answer": "2"}\n' * 4) -> SimpleUploadedFile:
    return SimpleUploadedFile("rows.jsonl", rows)


def imported(dataset: Dataset) -> Source:
    source = dataset.sources.get()
    working.work_off(source)
    source.refresh_from_db()
    return source


@pytest.fixture
def dataset(page: Client, user: User) -> Dataset:
    """A data set of the page's user, with four rows imported."""
    page.post(NEW, {"name": "sums", "description": "", "file": upload()})
    dataset = Dataset.objects.get()
    assert imported(dataset).state == State.DONE
    return dataset


def test_the_list(page: Client) -> None:
    dataset = factories.make_dataset(name=HOSTILE, is_sample=True)
    factories.make_version(dataset=dataset, target="rl", rows_train=7)
    content = page.get(LIST).content.decode()
    assert "&lt;b&gt;" in content
    assert "<b>&#x27;" not in content
    assert f'href="/datasets/{dataset.pk}/versions/1/"' in content


def test_an_empty_list_says_what_to_do(page: Client) -> None:
    assert b"No data sets yet" in page.get(LIST).content


def test_the_list_takes_the_same_queries_for_one_row_and_three(page: Client) -> None:
    factories.make_version()
    one = queries(page, LIST)
    factories.make_version()
    factories.make_version()
    assert queries(page, LIST) == one


def names(page: Client, query: str) -> list[str]:
    found = page.get(f"{LIST}?{query}", headers=HTMX).context["page"]
    return [dataset.name for dataset in found]


def test_the_list_sorts_filters_and_pages(page: Client) -> None:
    for name, target, rows in (("a", "sft", 3), ("b", "rl", 9), ("c", "rl", 1)):
        dataset = factories.make_dataset(name=name)
        factories.make_version(dataset=dataset, target=target, rows_train=rows)
    factories.make_dataset(name="d")
    assert names(page, "") == ["a", "b", "c", "d"]
    assert names(page, "sort=-newest_rows") == ["b", "a", "c", "d"]
    assert names(page, "target=rl") == ["b", "c"]
    assert names(page, "q=B") == ["b"]
    assert names(page, "sort=nonsense&target=nonsense&page=99") == ["a", "b", "c", "d"]
    assert b"No data set matches" in page.get(f"{LIST}?q=zzz").content


def test_an_upload_becomes_rows(page: Client, dataset: Dataset) -> None:
    content = page.get(f"/datasets/{dataset.pk}/").content.decode()
    assert "rows.jsonl" in content
    assert "Map and compile" in content


def test_a_path_becomes_rows(page: Client, home: Path) -> None:
    path = factories.write_lines(home / "rows.jsonl", [{"q": "1", "a": "2"}])
    page.post(NEW, {"name": HOSTILE, "path": str(path)})
    assert imported(Dataset.objects.get()).rows == 1


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"name": ""}, "This field is required"),
        ({"name": "x" * 101}, "at most 100 characters"),
        ({"name": "a@b"}, "no @"),
        ({"name": "a\nb"}, "one line"),
        ({"name": "x"}, "one of the three"),
        ({"name": "x", "path": "/etc/passwd", "hub": "a/b"}, "one of the three"),
        ({"name": "x", "path": "/etc/passwd"}, "outside the allowed folders"),
        ({"name": "x", "path": "/etc\0/passwd"}, "Null characters"),
        ({"name": "taken", "hub": "a/b"}, "already"),
    ],
)
def test_bad_input_is_told_at_the_field(page: Client, fields: dict[str, str], says: str) -> None:
    factories.make_dataset(name="taken")
    response = page.post(NEW, fields)
    assert response.status_code == 422
    assert says in response.content.decode()
    assert Dataset.objects.count() == 1
    assert Source.objects.count() == 0


def test_an_empty_upload_is_refused(page: Client) -> None:
    response = page.post(NEW, {"name": "x", "file": SimpleUploadedFile("x.jsonl", b"")})
    assert response.status_code == 422
    assert Dataset.objects.count() == 0


def test_an_upload_over_the_limit_is_refused(page: Client, settings: Settings) -> None:
    settings.TRAINYARD_LARGEST_UPLOAD = 10
    assert page.post(NEW, {"name": "x", "file": upload()}).status_code == 400
    assert Dataset.objects.count() == 0


def test_more_rows_for_the_same_data_set(page: Client, dataset: Dataset) -> None:
    response = page.post(f"/datasets/{dataset.pk}/add/", {"file": upload()})
    assert response.status_code == 302
    assert dataset.sources.count() == 2


def test_the_folders_are_browsed_and_no_others(page: Client, home: Path) -> None:
    factories.write_lines(home / "below/rows.jsonl", [{}])
    (home / "notes.txt").write_text("")
    top = page.get(BROWSE, {"in": str(home)}).content.decode()
    assert "below/" in top
    assert "notes.txt" not in top
    assert "rows.jsonl" in page.get(BROWSE, {"in": str(home / "below")}).content.decode()
    for outside in ("/etc", f"{home}/..", "\0"):
        content = page.get(BROWSE, {"in": outside}, headers=HTMX).content.decode()
        assert "passwd" not in content


def test_the_mapping_is_proposed_and_shown(page: Client, dataset: Dataset) -> None:
    url = f"/datasets/{dataset.pk}/sources/{dataset.sources.get().pk}/map/"
    content = page.get(url).content.decode()
    assert "What the rows look like" in content
    assert page.get(f"{url}?shape=sharegpt", headers=HTMX).status_code == 200
    assert page.get(f"{url}?shape=nonsense").status_code == 200


def mapped(**fields: Any) -> dict[str, Any]:
    return {
        "shape": "question_answer",
        "target": "rl",
        "role_question": "q",
        "role_answer": "a",
        "option_data_source": "openai/gsm8k",
        "option_style": "rule",
        "option_extract": "whole",
        "validation": "1",
        "seed": "1",
        **fields,
    }


def test_a_mapping_is_previewed_and_compiled(page: Client, home: Path, user: User) -> None:
    rows = [{"q": f"{n}+1=?", "a": n + 1, "id": n} for n in range(4)]
    path = factories.write_lines(home / "rows.jsonl", [*rows, {"a": "no question"}])
    dataset = services.create("sums", user)
    services.import_path(dataset, str(path), user)
    source = imported(dataset)
    url = f"/datasets/{dataset.pk}/sources/{source.pk}/map/"
    preview = page.post(f"{url}preview/", mapped()).content.decode()
    assert "0+1=?" in preview
    assert "It has no q" in preview
    assert "Of the first 5 rows, 4 can be used." in " ".join(preview.split())
    response = page.post(url, mapped())
    assert response.headers["Location"] == f"/datasets/{dataset.pk}/versions/1/"
    again = page.post(url, mapped())
    assert again.headers["Location"] == response.headers["Location"]
    working.work_off(Version.objects.get())
    version = Version.objects.get()
    assert (version.rows_train, version.lost) == (3, {"id": 4})
    assert "<code>id</code> of 4 rows" in page.get(version.get_absolute_url()).content.decode()


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"role_question": ""}, "This field is required"),
        ({"validation": "x"}, "Write a share"),
        ({"validation": "0"}, "between 0 and 1"),
        ({"seed": "-1"}, "greater than or equal to 0"),
        ({"target": "dpo"}, "Select a valid choice"),
    ],
)
def test_a_bad_mapping_is_told(
    page: Client, dataset: Dataset, fields: dict[str, str], says: str
) -> None:
    url = f"/datasets/{dataset.pk}/sources/{dataset.sources.get().pk}/map/"
    response = page.post(url, mapped(**fields))
    assert response.status_code == 422
    assert says in response.content.decode()
    assert Version.objects.count() == 0
    assert says in page.post(f"{url}preview/", mapped(**fields)).content.decode()


def test_what_fails_or_falls_silent_can_be_tried_again(page: Client, dataset: Dataset) -> None:
    source = dataset.sources.get()
    Source.objects.update(state=State.WORKING, beat_at="2020-01-01T00:00:00Z")
    content = page.get(f"/datasets/{dataset.pk}/").content.decode()
    assert "no sign of life" in content
    assert "every 1s" not in content
    page.post(f"/datasets/{dataset.pk}/sources/{source.pk}/retry/")
    source.refresh_from_db()
    assert source.state == State.WAITING
    assert "every 1s" in page.get(f"/datasets/{dataset.pk}/", headers=HTMX).content.decode()
    page.post(f"/datasets/{dataset.pk}/sources/{source.pk}/cancel/")
    source.refresh_from_db()
    assert source.state == State.CANCELLED


def test_a_version_is_cancelled_tried_again_and_deleted(page: Client, dataset: Dataset) -> None:
    version = factories.make_version(dataset=dataset, state=State.WAITING)
    url = f"/datasets/{dataset.pk}/versions/{version.number}"
    page.post(f"{url}/cancel/")
    version.refresh_from_db()
    assert version.state == State.CANCELLED
    page.post(f"{url}/retry/")
    version.refresh_from_db()
    assert version.state == State.WAITING
    page.post(f"{url}/delete/")  # it is being made
    assert Version.objects.count() == 1
    page.post(f"{url}/cancel/")
    page.post(f"{url}/delete/")
    assert Version.objects.count() == 0


def test_edit_and_delete(page: Client, dataset: Dataset) -> None:
    factories.make_dataset(name="taken")
    url = f"/datasets/{dataset.pk}"
    assert page.get(f"{url}/edit/").status_code == 200
    assert page.post(f"{url}/edit/", {"name": "taken"}).status_code == 422
    page.post(f"{url}/edit/", {"name": "better", "description": "x"})
    dataset.refresh_from_db()
    assert (dataset.name, dataset.description) == ("better", "x")
    assert b"Delete better?" in page.get(f"{url}/delete/").content
    page.post(f"{url}/delete/")
    assert not Dataset.objects.filter(pk=dataset.pk).exists()
    assert not dataset.folder.exists()


@pytest.mark.parametrize("path", ["add/", "edit/", "delete/"])
def test_only_its_owner_and_staff_change_it(
    page: Client, client: Client, other: User, staff: User, path: str
) -> None:
    dataset = factories.make_dataset(owner=other)
    assert page.get(f"/datasets/{dataset.pk}/").status_code == 200
    assert page.post(f"/datasets/{dataset.pk}/{path}", {"name": "x"}).status_code == 403
    client.force_login(staff)
    assert client.get(f"/datasets/{dataset.pk}/{path}").status_code == 200


def test_every_page_asks_for_a_login_and_refuses_other_methods(page: Client, user: User) -> None:
    dataset = factories.make_dataset(owner=user)
    source = dataset.sources.create(origin="upload", name="x", state=State.DONE)
    base = f"/datasets/{dataset.pk}/"
    for url, methods in {
        LIST: ["get"],
        BROWSE: ["get"],
        base: ["get"],
        NEW: ["get", "post"],
        f"{base}add/": ["get", "post"],
        f"{base}edit/": ["get", "post"],
        f"{base}delete/": ["get", "post"],
        f"{base}sources/{source.pk}/map/": ["get", "post"],
        f"{base}sources/{source.pk}/map/preview/": ["post"],
        f"{base}sources/{source.pk}/retry/": ["post"],
    }.items():
        assert asks_for_login(url, methods[0]), url
        assert refuses_other_methods(page, url, *methods), url


def test_no_such_data_set(page: Client) -> None:
    assert page.get("/datasets/999/").status_code == 404
    assert page.get("/datasets/999/sources/1/map/").status_code == 404


def test_text_in_another_encoding(page: Client) -> None:
    def sent(**fields: str) -> str:
        rows = SimpleUploadedFile("rows.csv", "q,a\nwas,1\ncafé,2\n".encode("cp1252"))
        page.post(NEW, {"name": "x", "file": rows, **fields})
        dataset = Dataset.objects.get()
        imported(dataset)
        content = page.get(f"/datasets/{dataset.pk}/").content.decode()
        services.delete(dataset)
        return content

    assert "Not valid UTF-8: 1. Name the file&#x27;s encoding" in sent()
    assert "Not valid UTF-8" not in sent(encoding="cp1252")
    assert page.post(NEW, {"name": "x", "hub": "a/b", "encoding": "x"}).status_code == 422


def test_a_file_without_rows_is_refused_at_once(page: Client) -> None:
    response = page.post(NEW, {"name": "x", "file": SimpleUploadedFile("a.txt", b"hello\n")})
    assert response.status_code == 422
    assert "Plain text has no rows" in response.content.decode()
    assert Dataset.objects.count() == 0


def map_page(page: Client, home: Path, user: User, *rows: dict[str, Any]) -> tuple[str, str]:
    """The address of the map page for these rows, and its content."""
    dataset = services.create("mapped", user)
    path = factories.write_lines(home / "mapped.jsonl", list(rows))
    services.import_path(dataset, str(path), user)
    url = f"/datasets/{dataset.pk}/sources/{imported(dataset).pk}/map/"
    return url, page.get(url).content.decode()


def test_the_map_page_shows_the_rows_as_they_came(page: Client, home: Path, user: User) -> None:
    rows = [{"q": f"<b>{n}+1", "n": n, "meta": {"level": n}} for n in range(5)]
    _, content = map_page(page, home, user, *rows)
    raw = content.split('class="raw-rows"')[1].split("</table>")[0]
    assert re.findall(r"<code>(\w+)</code>", raw) == ["q", "n", "meta"]
    assert "&lt;b&gt;2+1" in raw
    assert "3+1" not in raw
    assert "whole number" in raw
    assert "{&quot;level&quot;: 2}" in raw


def test_a_fresh_map_page_has_no_errors(page: Client, home: Path, user: User) -> None:
    _, content = map_page(page, home, user, {"a": 1, "b": 2})
    assert "This field is required" not in content
    assert "Still to be filled in" in content


def test_a_wrong_column_is_told_once(page: Client, dataset: Dataset) -> None:
    url = f"/datasets/{dataset.pk}/sources/{dataset.sources.get().pk}/map/"
    wrong = mapped(role_question="nope", role_answer="answer")
    preview = page.post(f"{url}preview/", wrong).content.decode()
    assert preview.count("nope") == 1
    assert "There is no column nope. The rows have: answer, question." in preview
    response = page.post(url, wrong)
    assert response.status_code == 422
    content = response.content.decode()
    assert content.split('id="map-preview"')[1].count("nope") == 0
    assert (
        "There is no column nope" in content.split('id="error-role_question"')[1].split("</p>")[0]
    )
    assert Version.objects.count() == 0


def test_a_reason_that_many_rows_share_is_told_once(page: Client, home: Path, user: User) -> None:
    rows = [{"q": f"{n}+1", "a": n} for n in range(3)] + [{"q": "?", "a": {"x": 1}}] * 4
    url, _ = map_page(page, home, user, *rows)
    preview = page.post(f"{url}preview/", mapped()).content.decode()
    assert preview.count("a is not text") == 1
    assert "4 rows: a is not text." in preview
    assert "2+1" in preview


def test_the_map_page_keeps_its_layout_with_errors(page: Client, dataset: Dataset) -> None:
    url = f"/datasets/{dataset.pk}/sources/{dataset.sources.get().pk}/map/"
    fresh = page.get(url).content.decode()
    fields = {"role_question": "question", "role_answer": "answer", "validation": "x"}
    response = page.post(url, mapped(**fields))
    assert response.status_code == 422
    wrong = response.content.decode()
    for part in (
        'id="shapes-title"',
        'id="raw-title"',
        "made-row",
        '<details class="panel group" >',
    ):
        assert (part in fresh, part in wrong) == (True, True), part


def test_a_role_takes_the_same_for_every_row(page: Client, home: Path, user: User) -> None:
    rows = [{"question": f"{n}+1", "answer": n + 1} for n in range(4)]
    url, _ = map_page(page, home, user, *rows)
    fields = {"role_question": "question", "role_answer": "answer", "option_data_source": ""}
    missing = page.post(url, mapped(**fields)).content.decode()
    error = missing.split('id="error-role_data_source"')[1].split("</p>")[0]
    assert "such as =openai/gsm8k" in error
    unmarked = page.post(url, mapped(role_data_source="my/sums", **fields)).content.decode()
    assert "For the same in every row, write =my/sums" in unmarked
    page.post(url, mapped(role_data_source="=my/sums", **fields))
    version = Version.objects.get()
    working.work_off(version)
    version.refresh_from_db()
    assert version.state == State.DONE, version.error
    first = page.get(version.get_absolute_url()).content.decode()
    assert "my/sums" in first


def test_a_version_leads_to_the_form_of_a_job(page: Client, dataset: Dataset) -> None:
    version = factories.make_version(dataset=dataset, target="dpo")
    busy = factories.make_version(dataset=dataset, target="dpo", state=State.WORKING)
    link = f'href="/jobs/new/?dataset={version.pk}"'
    assert link in page.get(version.get_absolute_url()).content.decode()
    listed = page.get(dataset.get_absolute_url()).content.decode()
    assert link in listed
    assert f"?dataset={busy.pk}" not in listed
