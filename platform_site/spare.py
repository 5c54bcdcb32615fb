"""Free pages inside SQLite's own file, for what has to be written when the disk is full.

Without them nobody could log in then, nor stop what fills the disk. SQLite writes to free pages
before it asks the disk for more. PostgreSQL's disk is its own affair.
"""

import shutil

from django.conf import settings
from django.db import connection, transaction

SPARE = 8 * 1024**2  # bytes: some thousands of logins, or hours of what the watcher measures
ENOUGH = 0.75  # of SPARE: below that it is filled up


def keep_spare_pages() -> None:
    """Bring the free pages back to SPARE, while the disk has plenty."""
    if connection.vendor != "sqlite":
        return
    missing = SPARE - spare_bytes()
    if (
        missing < SPARE * (1 - ENOUGH)
        or shutil.disk_usage(settings.TRAINYARD_HOME).free < 8 * SPARE
    ):
        return
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("CREATE TABLE trainyard_spare (room BLOB)")
        cursor.execute("INSERT INTO trainyard_spare VALUES (zeroblob(%s))", [SPARE])
        cursor.execute("DROP TABLE trainyard_spare")
    with connection.cursor() as cursor:  # until then the pages are only in the log of writes
        cursor.execute("PRAGMA wal_checkpoint(PASSIVE)")


def spare_bytes() -> int:
    """How much SQLite's file can take before it grows."""
    return _pragma("freelist_count") * _pragma("page_size")


def _pragma(name: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(f"PRAGMA {name}")
        return int(cursor.fetchone()[0])
