"""SQLite files: those of Trackio, and MLflow's store. They are opened to be read only.

What was written last may stand in a file beside, the write-ahead log. It is read with a copy of
both: nothing is written beside somebody's files.
"""

import sqlite3
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from shutil import copyfile
from tempfile import TemporaryDirectory
from typing import Any

from monitoring.foreign.found import (
    BROKEN_LINES,
    COMPLETED,
    FAILED,
    LAST_TIME,
    Run,
    Tell,
    as_step,
)
from monitoring.readers.parse import parse

TRACKIO, MLFLOW = "Trackio", "MLflow"
WAL = "-wal"  # behind the name of a database
TRIES = 3
MAGIC = b"SQLite format 3\0"
ROWS = 1000
ENDS: Mapping[str, str] = {"FINISHED": COMPLETED, "FAILED": FAILED, "KILLED": FAILED}


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """Raises ``ValueError`` for a file that is no database, or a damaged one."""
    wal = path.with_name(path.name + WAL)
    if not _has_rows(wal):
        # Immutable: nothing is written beside the file, and nothing that it says is executed.
        with _connected(f"{path.as_uri()}?mode=ro&immutable=1") as connection:
            yield connection
        return
    with TemporaryDirectory(prefix="trainyard-") as folder:
        copy = Path(folder, "copy.db")
        _copy([path, wal], [copy, copy.with_name(copy.name + WAL)])
        with _connected(f"{copy.as_uri()}?mode=ro") as connection:
            yield connection


def _has_rows(wal: Path) -> bool:
    """A link is not followed: it may lead to what is somebody else's."""
    try:
        facts = wal.lstat()
    except OSError:
        return False
    return stat.S_ISREG(facts.st_mode) and facts.st_size > 0


def _copy(paths: Sequence[Path], copies: Sequence[Path]) -> None:
    """Copy files that belong together, as they are at one moment. Raises ``ValueError``."""
    for _ in range(TRIES):
        before = _facts(paths)
        try:
            for path, copy in zip(paths, copies, strict=True):
                copyfile(path, copy)
        except FileNotFoundError:  # its writer closed it, and put the rows into the database
            raise ValueError(f"{paths[0].name} is being written: try again.") from None
        except OSError as error:
            what = f"{paths[0].name} and {paths[1].name} could not be copied to be read"
            raise ValueError(f"{what}: {error.strerror}.") from None
        if _facts(paths) == before:
            return
    raise ValueError(f"{paths[0].name} is being written: import it when that is over.")


def _facts(paths: Sequence[Path]) -> list[tuple[int, int]]:
    found = [path.stat() for path in paths if path.exists()]
    return [(facts.st_size, facts.st_mtime_ns) for facts in found]


@contextmanager
def _connected(uri: str) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(uri, uri=True)
    connection.text_factory = lambda data: data.decode("utf-8", "replace")
    try:
        connection.execute("PRAGMA trusted_schema = OFF")
        yield connection
    except sqlite3.Error as error:
        raise ValueError(f"The database cannot be read: {error}.") from None
    finally:
        connection.close()


def tables(path: Path) -> dict[str, set[str]]:
    """The columns of each table. Raises ``ValueError``."""
    with opened(path) as db:
        names = [row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type='table'")]
        return {name: _columns(db, name) for name in names[:200]}


def _columns(db: sqlite3.Connection, table: str) -> set[str]:
    return {row[0] for row in db.execute("SELECT name FROM pragma_table_info(?)", (table,))}


def is_trackio(found: Mapping[str, set[str]]) -> bool:
    return {"run_name", "step", "metrics"} <= found.get("metrics", set())


def is_mlflow(found: Mapping[str, set[str]]) -> bool:
    metrics = {"key", "value", "step", "run_uuid"} <= found.get("metrics", set())
    return metrics and "run_uuid" in found.get("runs", set())


def read_trackio(path: Path, most: int, tell: Tell) -> list[Run]:
    with opened(path) as db:
        told = _Told(tell, path.stat().st_size, _count(db, "metrics"))
        names = [row[0] for row in db.execute("SELECT DISTINCT run_name FROM metrics ORDER BY 1")]
        runs = {str(name): Run(str(name), TRACKIO) for name in names[:most]}
        rows = "SELECT run_name, step, metrics, timestamp FROM metrics ORDER BY rowid"
        for name, step, text, time in db.execute(rows):
            told()
            if run := runs.get(str(name)):
                _trackio_row(run, step, text, time)
        if "configs" in tables(path):
            for name, text in db.execute("SELECT run_name, config FROM configs"):
                if (run := runs.get(str(name))) and isinstance(config := _json(text), dict):
                    run.config = {k: v for k, v in config.items() if not k.startswith("_")}
        return [*runs.values(), *rest_of(len(names) - most)]


def _trackio_row(run: Run, step: Any, text: Any, time: Any) -> None:
    data = _json(text)
    if not isinstance(data, dict):
        run.left_out[BROKEN_LINES] += 1
        return
    for name, value in data.items():
        run.add(name, step, value)
    at = as_step(step)
    if at is not None and (epoch := _epoch(time)) is not None:
        run.times.setdefault(at, epoch)


def _json(text: Any) -> Any:
    try:
        return parse(text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text))
    except ValueError:
        return None


def _epoch(time: Any) -> float | None:
    try:
        return datetime.fromisoformat(str(time)).timestamp()
    except (ValueError, OverflowError, OSError):
        return None


def read_mlflow(path: Path, most: int, tell: Tell) -> list[Run]:
    with opened(path) as db:
        told = _Told(tell, path.stat().st_size, _count(db, "metrics"))
        facts = db.execute("SELECT run_uuid, name, status FROM runs ORDER BY start_time").fetchall()
        runs = {
            uuid: Run(str(name or uuid), MLFLOW, status=ENDS.get(str(status), ""))
            for uuid, name, status in facts[:most]
        }
        rows = "SELECT run_uuid, key, step, value, is_nan, timestamp FROM metrics ORDER BY rowid"
        for uuid, key, step, value, is_nan, time in db.execute(rows):
            told()
            if run := runs.get(uuid):
                mlflow_point(run, str(key), step, float("nan") if is_nan else value, time)
        for uuid, key, value in db.execute("SELECT run_uuid, key, value FROM params"):
            if run := runs.get(uuid):
                run.config[str(key)] = value
        return [*runs.values(), *rest_of(len(facts) - most)]


def mlflow_point(run: Run, name: str, step: Any, value: Any, milliseconds: Any) -> None:
    run.add(name, step, value)
    at = as_step(step)
    if at is not None and isinstance(milliseconds, int) and 0 <= milliseconds < LAST_TIME * 1000:
        run.times.setdefault(at, milliseconds / 1000)


def _count(db: sqlite3.Connection, table: str) -> int:
    return int(db.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608 a name of ours


class _Told:
    """Tells the bytes of a file by the share of its rows that were read."""

    def __init__(self, tell: Tell, size: int, rows: int) -> None:
        self.tell, self.each, self.seen = tell, size * ROWS // max(1, rows), 0

    def __call__(self) -> None:
        self.seen += 1
        if self.seen % ROWS == 0:
            self.tell(self.each)


MORE_RUNS = "{} further run{s}"


def rest_of(count: int) -> Iterator[Run]:
    """Stands for the runs that were left out: it has no points, and says how many there are."""
    if count > 0:
        rest = Run()
        rest.left_out[MORE_RUNS] = count
        yield rest
