"""A database of its own, to be brought to any release that there was."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection
from django.db.migrations.executor import MigrationExecutor

SUFFIX = "upgrade"
APPS = ("compute", "datasets", "jobs", "monitoring")


@contextmanager
def empty_database() -> Iterator[None]:
    """Meanwhile the connection leads to a new database, beside that of the other tests."""
    others, new = dict(connection.settings_dict), _settings()
    connection.close()
    if connection.vendor == "postgresql":
        with connection._nodb_cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {connection.ops.quote_name(new['NAME'])}")
    connection.settings_dict.update(new)
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict.update(others)
        connection.creation.destroy_test_db(suffix=SUFFIX, verbosity=0)


def _settings() -> Any:
    return connection.creation.get_test_db_clone_settings(SUFFIX)


def migrate_to(**names: str) -> Any:
    """Bring each app to a migration, and return the models of then."""
    executor = MigrationExecutor(connection)
    targets = list(names.items())
    executor.migrate(targets)
    return executor.loader.project_state(targets).apps


def migrate_to_newest() -> None:
    leaves = MigrationExecutor(connection).loader.graph.leaf_nodes()
    migrate_to(**{app: name for app, name in leaves if app in APPS})
