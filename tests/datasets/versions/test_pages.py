"""The pages about one version."""

from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.test import Client

from datasets import services, working
from datasets.formats.columns import ColumnMapping
from datasets.formats.splitting import Split
from datasets.models import Report, Version
from platform_site.work.models import State
from tests import factories
from tests.pages import HTMX, asks_for_login, queries, refuses_other_methods

QA = ColumnMapping(
    "rl", "question_answer", {"question": "q", "answer": "a"}, {"data_source": "openai/gsm8k"}
)


@pytest.fixture
def version(home: Path, user: User) -> Version:
    """Forty questions, one of them twice, with a hostile answer."""
    rows = [{"q": f"{n}+1=?", "a": f"{n + 1}"} for n in range(39)]
    rows += [rows[0], {"q": "<script>", "a": "{{ 1 }}"}]
    path = factories.write_lines(home / "rows.jsonl", rows)
    dataset = services.create("sums", user)
    source = services.import_path(dataset, str(path), user)
    working.work_off(source)
    source.refresh_from_db()
    version = services.compile_version(source, QA, Split(4, 1), user)
    working.work_off(version)
    version.refresh_from_db()
    assert version.state == State.DONE, version.error
    return version


def url(version: Version, tail: str = "") -> str:
    return f"/datasets/{version.dataset_id}/versions/{version.number}/{tail}"


def text(page: Client, address: str, **options: object) -> str:
    response = page.get(address, **options)  # type: ignore[arg-type]
    assert response.status_code == 200
    return response.content.decode()


def test_rows_are_paged_searched_and_filtered(page: Client, version: Version) -> None:
    first = text(page, url(version))
    assert "sums@1" in first
    assert "Row 0" in first
    assert "<script>" not in first.split("<main")[1]
    assert "Row 30" in text(page, url(version, "?start=25"))
    found = text(page, url(version, "?q=17%2B1"), headers={**HTMX, "HX-Target": "rows"})
    assert "<main" not in found
    assert "17+1=?" in found
    assert found.count("<article") == 1
    query = "?field=reward_model.ground_truth&op=%3D&value=18"
    assert text(page, url(version, query)).count("<article") == 1
    assert "No row matches" in text(page, url(version, "?q=zzzz"))


@pytest.mark.parametrize(
    "query", ["?start=abc", "?start=-1", "?start=99999999999999", "?field='\";--&value=x", "?op=x"]
)
def test_odd_questions_are_answered(page: Client, version: Version, query: str) -> None:
    assert page.get(url(version, query)).status_code == 200


def test_a_row_in_full(page: Client, version: Version) -> None:
    shown = text(page, url(version, "rows/0/"))
    assert "ground_truth" in shown
    assert "of the source" in shown
    assert page.get(url(version, "rows/999/")).status_code == 404
    assert page.get(url(version, "rows/0/?file=val")).status_code == 200


def test_fields_and_their_values(page: Client, version: Version) -> None:
    shown = text(page, url(version, "fields/?field=data_source"))
    assert "openai/gsm8k" in shown
    assert "to" in text(page, url(version, "fields/?field=extra_info.index"))
    odd = text(page, url(version, "fields/?field=%27%3B--"))
    assert "note problem" in odd


def test_a_check_and_a_clean(page: Client, version: Version) -> None:
    assert "appear here after a check" in text(page, url(version, "report/"))
    response = page.post(url(version, "check/"), {"model": "", "max_length": ""})
    assert response.status_code == 302
    assert "every 1s" in text(page, url(version, "report/"), headers=HTMX)
    report = Report.objects.get()
    working.work_off(report)
    shown = text(page, url(version, "report/"))
    assert "Exact duplicate" in shown
    response = page.post(url(version, "clean/"), {"code": ["duplicate"], "report": report.pk})
    assert response.headers["Location"] == f"/datasets/{version.dataset_id}/versions/2/"
    made = Version.objects.get(number=2)
    working.work_off(made)
    assert "Rows that were left out" in text(page, url(made, "removed/"))
    assert page.get(url(version, "removed/")).status_code in (200, 404)


def test_a_clean_of_nothing_says_so(page: Client, version: Version) -> None:
    given = {"code": ["nonsense"], "report": "9" * 5000}
    response = page.post(url(version, "clean/"), given, follow=True)
    assert "Choose what to leave out" in response.content.decode()
    assert Version.objects.count() == 1


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"model": "/etc", "max_length": ""}, "outside the allowed folders"),
        ({"model": "HOME/none", "max_length": ""}, "There is no folder"),
        ({"model": "", "max_length": "8"}, "name one"),
        ({"model": "", "max_length": "0"}, "greater than or equal to 1"),
    ],
)
def test_a_bad_check_is_told(
    page: Client, version: Version, home: Path, fields: dict[str, str], says: str
) -> None:
    given = {name: value.replace("HOME", str(home)) for name, value in fields.items()}
    response = page.post(url(version, "check/"), given)
    assert response.status_code == 422
    assert says in response.content.decode()
    assert Report.objects.count() == 0


def test_tokens_without_a_model_and_with_a_bad_one(
    page: Client, version: Version, home: Path
) -> None:
    assert page.get(url(version, "tokens/")).status_code == 200
    (home / "empty").mkdir()
    shown = text(page, url(version, f"tokens/?model={home}/empty&row=0"))
    assert "note problem" in shown
    assert "outside the allowed folders" in text(page, url(version, "tokens/?model=/etc"))


def test_files_are_downloaded(page: Client, version: Version) -> None:
    response = page.get(url(version, "files/train.parquet"))
    assert b"".join(response.streaming_content)[:4] == b"PAR1"  # type: ignore[attr-defined]
    assert page.get(url(version, "files/other.parquet")).status_code == 404


def test_a_version_that_is_not_ready_or_lost_its_file(page: Client, version: Version) -> None:
    Path(version.train_file).unlink()
    assert "is gone" in text(page, url(version))
    assert page.get(url(version, "files/train.parquet")).status_code == 404
    Version.objects.update(state=State.WORKING)
    for tail in ("", "fields/", "report/", "tokens/"):
        assert page.get(url(version, tail)).status_code == 200


def test_only_its_owner_and_staff_check_and_clean(
    client: Client, version: Version, other: User
) -> None:
    client.force_login(other)
    assert client.get(url(version, "report/")).status_code == 200
    assert client.post(url(version, "check/")).status_code == 403
    assert client.post(url(version, "clean/")).status_code == 403


def test_every_page_asks_for_a_login_and_refuses_other_methods(
    page: Client, version: Version
) -> None:
    for tail in ("", "rows/0/", "tokens/", "report/", "fields/"):
        assert asks_for_login(url(version, tail)), tail
        assert refuses_other_methods(page, url(version, tail), "get"), tail
    assert refuses_other_methods(page, url(version, "check/"), "post")


def test_the_rows_take_the_same_queries_whatever_their_number(
    page: Client, version: Version
) -> None:
    assert queries(page, url(version)) == queries(page, url(version, "?q=17%2B1"))


def test_no_such_version(page: Client, version: Version) -> None:
    assert page.get(f"/datasets/{version.dataset_id}/versions/9/").status_code == 404
