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
    assert b"No datasets yet" in page.get(LIST).content


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
    assert b"No dataset matches" in page.get(f"{LIST}?q=zzz").content


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
