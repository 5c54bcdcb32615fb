from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.test import Client

from tests import factories
from tests.pages import asks_for_login, queries, refuses_other_methods

LIST = "/datasets/"


def test_the_list(page: Client) -> None:
    dataset = factories.make_dataset(name="<sums>", rows=7, is_sample=True)
    content = page.get(LIST).content
    assert b"&lt;sums&gt;" in content
    assert f'href="/datasets/{dataset.pk}/"'.encode() in content


def test_an_empty_list(page: Client) -> None:
    assert page.get(LIST).status_code == 200


def test_the_list_takes_the_same_queries_for_one_row_and_three(page: Client) -> None:
    factories.make_dataset()
    one = queries(page, LIST)
    factories.make_dataset()
    factories.make_dataset()
    assert queries(page, LIST) == one


def test_the_first_rows(page: Client, home: Path) -> None:
    path = factories.write_table(
        home / "a.parquet", {"n": list(range(100, 150)), "text": ["<b>"] * 50}
    )
    response = page.get(f"/datasets/{factories.make_dataset(path).pk}/")
    assert response.status_code == 200
    text = response.content.decode()
    assert "int64" in text
    assert "&lt;b&gt;" in text
    assert "<td>100</td>" in text
    assert "<td>119</td>" in text
    assert "<td>120</td>" not in text


@pytest.mark.parametrize(
    ("content", "words"), [(None, "There is no file"), (b"no", "is not a parquet file")]
)
def test_a_file_that_cannot_be_read_is_told(
    page: Client, home: Path, content: bytes | None, words: str
) -> None:
    path = home / "a.parquet"
    if content:
        path.write_bytes(content)
    response = page.get(f"/datasets/{factories.make_dataset(path).pk}/")
    assert response.status_code == 200
    assert words in response.content.decode()


def test_a_file_whose_pages_are_damaged_is_told(page: Client, home: Path) -> None:
    path = factories.write_table(home / "a.parquet", {"text": ["x" * 99] * 1000})
    data = bytearray(path.read_bytes())
    data[4:60] = b"\xff" * 56
    path.write_bytes(data)
    response = page.get(f"/datasets/{factories.make_dataset(path).pk}/")
    assert response.status_code == 200
    assert "cannot be read" in response.content.decode()


def test_no_such_data_set(page: Client) -> None:
    assert page.get("/datasets/999/").status_code == 404


def test_anonymous(user: User) -> None:
    assert asks_for_login(LIST)
    assert asks_for_login(f"/datasets/{factories.make_dataset().pk}/")


def test_wrong_method(page: Client) -> None:
    assert refuses_other_methods(page, LIST, "get")
    assert refuses_other_methods(page, f"/datasets/{factories.make_dataset().pk}/", "get")
