"""Whatever a form of surgery is sent, it answers in words."""

from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from compute.machines.local import local_machine
from jobs.models import Job
from surgery.making.offered import offered
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


def test_what_can_be_no_path_is_not_asked_of_the_database(
    user: User, home: Path, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    path = str(model(user, home / "a"))
    with django_assert_num_queries(1):
        found = offered(user, also=["\0", f"{path}\0", "relative", "/" + "x" * 1000, path])
    assert [place.path for place in found] == [path]
