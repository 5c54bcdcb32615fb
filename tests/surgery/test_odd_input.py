"""Whatever a form of surgery is sent, it answers in words."""

import uuid as uuids
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from compute.machines.local import local_machine
from jobs.models import Job
from surgery.making.offered import offered
from tests import factories
from tests.surgery.models import model

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("queue")]
FIELDS = {
    "/surgery/average/": (
        "models", "more_models", "method", "last_count", "decay", "weights", "metric", "better",
        "dtype", "machine", "name", "uuid",
    ),
    "/surgery/compare/": ("before", "before_path", "after", "after_path", "machine", "name"),
    "/surgery/lora/merge/": ("base", "base_path", "adapters", "more_adapters", "weights", "dtype"),
    "/surgery/lora/extract/": (
        "base", "tuned", "base_path", "tuned_path", "rank", "energy", "keep",
    ),
    "/surgery/convert/": ("source", "source_path", "dtype", "shard_mib", "vocab", "layers"),
    "/surgery/new/": ("recipe", "models", "more_models", "base", "machine", "name", "uuid"),
    "/surgery/preview/": ("recipe", "method", "models", "base", "parameters", "machine"),
}  # fmt: skip
ODD = [
    "", "\0", "/\0", "//", "/" + "x" * 5000, "/" + "y/" * 400, "١٢", "1e999", "-1", "nan",
    "9" * 400, "/etc/passwd", "../..", "~", "/proc/self/mem", "😀", "a\nb", "[", "{", "&a [*a]",
]  # fmt: skip


@pytest.mark.parametrize("url", FIELDS)
def test_odd_values(page: Client, user: User, home: Path, url: str) -> None:
    one, other = str(model(user, home / "a")), str(model(user, home / "b"))
    usual = {
        "machine": local_machine().pk, "models": [one, other], "method": "ema", "decay": "0.5",
        "before": one, "after": other, "base": one, "tuned": other, "source": one, "rank": "4",
    }  # fmt: skip
    for field in FIELDS[url]:
        for value in ODD:
            response = page.post(url, {**usual, field: value, "action": "check"})
            assert response.status_code in (200, 422), (field, value)
    for query in ("from=x", "from=%00", "from=" + "9" * 40, "job=%00", "job=%D9%A1", "by=%00"):
        assert page.get(f"{url}?{query}").status_code in (200, 404, 405), query
    assert not Job.objects.exclude(name__startswith="made ").exists()


@pytest.mark.parametrize(
    ("url", "field", "error"),
    [
        ("/surgery/average/", "more_models", "models"),
        ("/surgery/lora/merge/", "more_adapters", "adapters"),
        ("/surgery/compare/", "after_path", "after_path"),
        ("/surgery/convert/", "source_path", "source_path"),
        ("/surgery/new/", "recipe", "recipe"),
    ],
)
def test_a_path_that_is_too_long_for_its_row(
    page: Client, url: str, field: str, error: str
) -> None:
    box = factories.make_ssh_machine(python="/opt/venv/bin/python", workdir="/w")
    path = "/" + "y/" * 600 + "m"
    text = f"merge_method: linear\nmodels:\n- model: {path}\nparameters:\n  weight: 1\n"
    given = {
        "machine": box.pk, "uuid": uuids.uuid4(), "method": "uniform", "more_models": "/m/a",
        "before_path": "/m/a", "base_path": "/m/a", "dtype": "", "action": "start",
    }  # fmt: skip
    sent = {"recipe": text, "more_models": f"/m/a\n{path}"}.get(field, path)
    response = page.post(url, {**given, field: sent})
    assert response.status_code == 422
    said = str(response.context["form"].errors[error])
    assert "at most 1000 characters" in said
    assert not Job.objects.exists()


def test_what_can_be_no_path_is_not_asked_of_the_database(
    user: User, home: Path, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    path = str(model(user, home / "a"))
    with django_assert_num_queries(1):
        found = offered(user, also=["\0", f"{path}\0", "relative", "/" + "x" * 1000, path])
    assert [place.path for place in found] == [path]
