"""One database for all tests here: it had rows of former releases, and came to the newest."""

from collections.abc import Iterator

import pytest
from pytest_django.plugin import DjangoDbBlocker

from tests.upgrade import former_jobs, former_points, former_work
from tests.upgrade.database import empty_database, migrate_to, migrate_to_newest


@pytest.fixture(scope="package")
def upgraded(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    with django_db_blocker.unblock(), empty_database():
        upgrade()
        yield


def upgrade() -> None:
    then = migrate_to(
        compute="0008_rental",
        datasets="0004_remove_files",
        jobs="0007_rental_and_machine_users",
        monitoring="0002_metric_store",
    )
    former_jobs.make(then)
    former_work.make(then)
    former_points.make(then)
    former_work.make_removals(migrate_to(jobs="0012_no_lists_in_jobs"))
    migrate_to_newest()
