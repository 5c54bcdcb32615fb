"""Runs of other tools, from files that they wrote (``samples/make.py``), and from wrong ones.

Neptune's Parquet is made here by its published columns: the exporter needs an account.
"""

import csv
import errno
import json
import math
import os
import random
import shutil
import sqlite3
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from monitoring.foreign import databases, sources, unpacking
from monitoring.foreign.found import (
    BROKEN_LINES,
    NO_NUMBER,
    Run,
    as_number,
    as_step,
    flat,
    sentences,
)

SAMPLES = Path(__file__).parent / "samples"
SCORES = {step: step / 4 for step in range(1, 6)}


def read(path: Path) -> tuple[list[Run], Counter[str]]:
    return sources.read(sources.look(path), lambda count: None)


def figures(run: Run, name: str) -> dict[int, float]:
    column = run.columns[name]
    return dict(zip(column.steps.tolist(), column.values.tolist(), strict=True))


@pytest.mark.parametrize(
    ("place", "tool"),
    [
        ("tensorboard", "TensorBoard"),
        ("wandb", "Weights & Biases"),
        ("trackio", "Trackio"),
        ("mlflow.db", "MLflow"),
        ("mlruns", "MLflow"),
    ],
)
def test_what_a_tool_wrote(place: str, tool: str) -> None:
    (run,), left_out = read(SAMPLES / place)
    assert (run.name, run.tool, left_out) == ("a-run", tool, Counter())
    assert figures(run, "critic/score/mean") == SCORES
    entropy = figures(run, "actor/entropy")
    assert math.isnan(entropy[3])
    assert entropy[5] == pytest.approx(0.2)
    assert run.times.keys() == SCORES.keys()
    assert 1.7e9 < run.times[1] <= run.times[5] < 2e9


def test_of_tensorboard_tensors_of_one_number_count_and_texts_do_not() -> None:
    (run,), _ = read(SAMPLES / "tensorboard")
    assert figures(run, "in a tensor") == {step: 2.0 * step for step in SCORES}
    assert sum(run.left_out.values()) == 1
    assert "texts, pictures or distributions" in next(iter(run.left_out))


def test_of_wandb_config_end_and_log_come_too() -> None:
    (run,), _ = read(SAMPLES / "wandb")
    assert flat(run.config)["actor.lr"] == 1e-6
    assert run.status == "completed"
    assert run.log
    assert "a line of the log" in run.log.read_text()
    assert run.left_out == Counter({NO_NUMBER: 5})


def test_of_mlflow_parameters_and_the_end_come_too() -> None:
    for place in ("mlflow.db", "mlruns"):
        (run,), _ = read(SAMPLES / place)
        assert run.config == {"lr": "1e-06"}
        assert run.status == "completed"


@pytest.mark.parametrize("place", ["tensorboard/a-run", "wandb/offline-run"])
def test_a_file_cut_off_anywhere_is_read_as_far_as_it_goes(place: str, tmp_path: Path) -> None:
    original = next(path for path in (SAMPLES / place).iterdir() if path.is_file())
    data, path = original.read_bytes(), tmp_path / original.name
    lengths = set[int]()
    for end in range(8, len(data), 7):
        path.write_bytes(data[:end])
        try:
            runs, _ = read(path)
        except ValueError:
            continue
        found = figures(runs[0], "critic/score/mean") if runs else {}
        assert found.items() <= SCORES.items()
        lengths.add(len(found))
    assert lengths >= {1, 2, 3, 4, 5}


@pytest.mark.parametrize("place", ["tensorboard/a-run", "wandb/offline-run"])
def test_bytes_that_were_changed_never_break_it(place: str, tmp_path: Path) -> None:
    original = next(path for path in (SAMPLES / place).iterdir() if path.is_file())
    data, path = original.read_bytes(), tmp_path / original.name
    for at in range(7, len(data), 5):
        path.write_bytes(data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :])
        read(path)


LINES = [
    '{"step": 1, "data": {"loss": 1.5, "words": "x", "wide": 1e400}}',
    '{"step": 2, "data": {"loss": 1.0',
    "no json",
    '{"step": 3, "data": {"loss": null, "<b>": "7"}}',
    '{"step": -1, "data": {"loss": 1}}',
    '{"step": 2, "data": {"loss": 0.5}}',
]


def test_verls_lines_with_torn_and_wrong_ones(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text("\n".join(LINES))
    (run,), _ = read(path)
    loss = figures(run, "loss")
    assert (loss[1], loss[2]) == (1.5, 0.5)
    assert math.isnan(loss[3])
    assert figures(run, "wide") == {1: math.inf}
    assert run.columns.keys() == {"loss", "wide"}
    assert run.left_out[BROKEN_LINES] == 3
    assert run.name == tmp_path.name


def test_histories_that_wandb_exported(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"_step": step, "_timestamp": 1.7e9 + step, "loss": 1 / step} for step in (1, 2, 3)
    ]
    rows.append({"_step": 4, "_timestamp": 1.7e9, "loss": "NaN", "note": "text"})
    rows.append({"_timestamp": 1.7e9, "loss": 1.0})
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    with (tmp_path / "b.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["_step", "_timestamp", "loss", "note"])
        writer.writeheader()
        writer.writerows(rows)
    numbers = [{**row, "loss": float(row["loss"])} for row in rows if "_step" in row]
    pq.write_table(pa.Table.from_pylist(numbers), tmp_path / "c.parquet")
    runs, _ = read(tmp_path)
    assert [run.name for run in runs] == ["a", "b", "c"]
    for run in runs:
        loss = figures(run, "loss")
        assert (loss[1], loss[2]) == (1.0, 0.5)
        assert math.isnan(loss[4])
    assert [run.left_out[NO_NUMBER] for run in runs] == [1, 1, 0]
    assert "W&B" in runs[0].tool


def test_an_export_of_neptune(tmp_path: Path) -> None:
    rows = [
        {"run_id": "R-1", "attribute_path": "loss", "attribute_type": "float_series",
         "step": Decimal(step), "timestamp": 1_700_000_000_000, "float_value": 1 / step}
        for step in (1, 2)
    ]  # fmt: skip
    plain = {"run_id": "R-1", "attribute_path": "lr", "attribute_type": "float", "float_value": 0.1}
    half = {**rows[0], "step": Decimal("1.5"), "run_id": "R-2"}
    fields: Any = [
        *((name, pa.string()) for name in ("run_id", "attribute_path", "attribute_type")),
        ("step", pa.decimal128(18, 6)), ("timestamp", pa.timestamp("ms", tz="UTC")),
        ("float_value", pa.float64())
    ]  # fmt: skip
    pq.write_table(
        pa.Table.from_pylist([*rows, plain, half], pa.schema(fields)), tmp_path / "part_0.parquet"
    )
    (run,), left_out = read(tmp_path)
    assert figures(run, "loss") == {1: 1.0, 2: 0.5}
    assert run.config == {"lr": 0.1}
    assert run.times == {1: 1.7e9, 2: 1.7e9}
    assert sum(left_out.values()) == 1  # the value at step 1.5


def test_a_folder_with_very_many_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "MOST_FILES", 50)
    for number in range(200):
        (tmp_path / f"other-{number}.txt").touch()
    shutil.copytree(SAMPLES / "tensorboard/a-run", tmp_path / "a")
    runs, left_out = read(tmp_path / "a")
    assert len(runs) == 1
    with pytest.raises(ValueError, match="There is no run in this folder"):
        read(tmp_path)
    shutil.copy(next((tmp_path / "a").iterdir()), tmp_path / "0.tfevents.1")
    runs, left_out = read(tmp_path)
    assert len(runs) == 1
    assert sum(left_out.values()) == 1


def test_links_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(SAMPLES / "tensorboard")
    (tmp_path / "tfevents").symlink_to(next((SAMPLES / "tensorboard/a-run").iterdir()))
    with pytest.raises(ValueError, match="no run"):
        read(tmp_path)


def test_links_to_the_folders_of_a_run_are_not_followed(tmp_path: Path) -> None:
    place, away = tmp_path / "given", tmp_path / "away"
    shutil.copytree(SAMPLES / "mlruns", place / "mlruns")
    shutil.copytree(SAMPLES / "wandb", place / "wandb")
    for name in ("params", "files"):
        _lead_away(next(place.rglob(name)), away)
    by_tool = {run.tool: run for run in read(place)[0]}
    assert by_tool["MLflow"].config == {}
    assert by_tool["MLflow"].columns
    assert by_tool["Weights & Biases"].log is None
    _lead_away(next(place.rglob("metrics")), away)
    assert [run.tool for run in read(place)[0]] == ["Weights & Biases"]
    with pytest.raises(ValueError, match="no run"):
        sources.look(place / "mlruns")
    (tmp_path / "link").symlink_to(SAMPLES / "tensorboard")
    with pytest.raises(ValueError, match="no run"):
        sources.look(tmp_path / "link")


def _lead_away(folder: Path, away: Path) -> None:
    """Make of the folder a link to where it then lies."""
    away.mkdir(exist_ok=True)
    folder.symlink_to(shutil.move(folder, away))


def test_a_pipe_is_passed_over(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "metrics.jsonl")
    with pytest.raises(ValueError, match="no run"):
        sources.look(tmp_path)


def test_a_damaged_file_does_not_stop_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "good.jsonl").write_text('{"_step": 1, "loss": 1}')
    (tmp_path / "time.jsonl").write_text(f'{{"_step": 1, "_timestamp": 1{"0" * 400}, "loss": 1}}')
    path = tmp_path / "table.parquet"
    steps = pa.array([list(range(1000))] * 50, pa.list_(pa.int64()))
    pq.write_table(pa.table({"_step": list(range(50)), "wide": steps}), path, compression="snappy")
    data = path.read_bytes()
    path.write_bytes(data[:200] + b"\xff" * 400 + data[600:])
    runs, left_out = read(tmp_path)
    assert [run.name for run in runs] == ["good", "time"]
    assert left_out[sources.UNREADABLE] == 1
    for error in (pa.ArrowNotImplementedError("no"), OverflowError("no"), OSError("no")):

        def fails(*_: object, error: Exception = error) -> None:
            raise error

        monkeypatch.setattr(pq, "read_schema", fails)
        assert sources.look(tmp_path).left_out[sources.UNREADABLE] == 1


def test_a_database_that_is_damaged_or_of_another(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    path.write_bytes((SAMPLES / "mlflow.db").read_bytes()[:5000] + b"\xff" * 5000)
    if _is_known(path):
        read(path)
    path.unlink()
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE other (a)")
    with pytest.raises(ValueError, match="Known are"):
        read(path)


def _is_known(path: Path) -> bool:
    try:
        sources.look(path)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize(
    ("value", "step"),
    [(3, 3), (3.0, 3), ("3", None), (1.5, None), (-1, None), (2**31, None), (True, None),
     (None, None), (math.nan, None), (10**400, None)],
)  # fmt: skip
def test_steps(value: object, step: int | None) -> None:
    assert as_step(value) == step


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (1, 1.0),
        ("-Infinity", -math.inf),
        (10**400, math.inf),
        ("7", None),
        (True, None),
        ([], None),
    ],
)
def test_numbers(value: object, number: float | None) -> None:
    assert as_number(value) == number


def test_one_is_told_as_one_and_none_not_at_all() -> None:
    told = sentences([(BROKEN_LINES, 1), (NO_NUMBER, 1200), (sources.UNREADABLE, 0)])
    assert told == [
        "Left out: 1 line that cannot be read.",
        "Left out: 1,200 values other than a number.",
    ]


@pytest.mark.parametrize("kind", ["zip", "gztar", "xztar", "bztar", "tar"])
def test_a_damaged_archive_is_refused_with_a_sentence(kind: str, tmp_path: Path) -> None:
    rows = tmp_path / "folder"
    rows.mkdir()
    (rows / "a.txt").write_bytes(random.Random(0).randbytes(3000) + b"a" * 3000)
    whole = Path(shutil.make_archive(str(tmp_path / "whole"), kind, rows))
    data, said = whole.read_bytes(), set[str]()
    for at in range(0, len(data), max(1, len(data) // 60)):
        for broken in (data[:at], data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]):
            whole.write_bytes(broken)
            try:
                if unpacking.is_archive(whole):
                    unpacking.unpack(whole, tmp_path / "out", 1 << 20)
            except ValueError as error:
                said.add(str(error).partition(":")[0])
    assert said <= {"The archive cannot be read"}
    assert said or kind in ("tar", "bztar")  # which then are no archives at all


def test_an_archive_leads_nowhere_else(tmp_path: Path) -> None:
    import tarfile
    import zipfile

    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for name in ("../out.txt", "/abs.txt", "a/b.txt"):
            file.writestr(name, "x")
    assert unpacking.unpack(archive, tmp_path / "zip", 100)
    tar = tmp_path / "a.tar.gz"
    with tarfile.open(tar, "w:gz") as made:
        made.add(archive, "c.zip")
        info = tarfile.TarInfo("link")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        made.addfile(info)
    assert unpacking.unpack(tar, tmp_path / "tar", 10_000)
    found = {p.name for p in tmp_path.rglob("*") if p.is_file() or p.is_symlink()}
    assert found & {"out.txt", "abs.txt", "link", "passwd"} == set()
    assert (tmp_path / "tar/c.zip").read_bytes() == archive.read_bytes()
    assert (tmp_path / "zip/a/b.txt").read_text() == "x"
    with pytest.raises(ValueError, match="more than may be unpacked"):
        unpacking.unpack(archive, tmp_path / "small", 0)


def trackio_with_wal(folder: Path) -> Path:
    """A database of which only the schema is in the file itself: its writer did not close it."""
    folder.mkdir(parents=True)
    live, path = folder / "live", folder / "p.db"
    db = sqlite3.connect(live, isolation_level=None)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("CREATE TABLE metrics (run_name, step, metrics, timestamp)")
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for step, score in SCORES.items():
        row = ("a-run", step, json.dumps({"score": score}), f"2026-01-01T00:00:0{step}")
        db.execute("INSERT INTO metrics VALUES (?, ?, ?, ?)", row)
    shutil.copyfile(live, path)
    shutil.copyfile(f"{live}-wal", f"{path}-wal")
    db.close()
    live.unlink()
    return path


@pytest.mark.parametrize("of", ["file", "folder"])
def test_rows_of_trackio_that_are_in_its_log_only(tmp_path: Path, of: str) -> None:
    path = trackio_with_wal(tmp_path / "t")
    before = sorted(path.parent.iterdir()), path.read_bytes()
    (run,), left_out = read(path if of == "file" else path.parent)
    assert (figures(run, "score"), left_out) == (SCORES, Counter())
    assert (sorted(path.parent.iterdir()), path.read_bytes()) == before


def test_a_log_that_is_a_link_is_not_read(tmp_path: Path) -> None:
    path = trackio_with_wal(tmp_path / "t")
    wal = Path(f"{path}-wal")
    wal.rename(tmp_path / "theirs")
    wal.symlink_to(tmp_path / "theirs")
    assert read(path)[0] == []


def test_a_damaged_log_leaves_what_the_database_has(tmp_path: Path) -> None:
    path = trackio_with_wal(tmp_path / "t")
    Path(f"{path}-wal").write_bytes(b"no log" * 100)
    assert read(path)[0] == []
    (row,) = sqlite3.connect(path).execute("SELECT count(*) FROM sqlite_master")
    assert row == (1,)


def test_a_database_that_changes_all_the_time_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = trackio_with_wal(tmp_path / "t")
    sizes = iter(range(100))
    monkeypatch.setattr(databases, "_facts", lambda paths: [(next(sizes), 0)])
    with pytest.raises(ValueError, match=r"p\.db is being written"):
        databases.tables(path)


def test_no_room_for_the_copy_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*paths: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = trackio_with_wal(tmp_path / "t")
    monkeypatch.setattr(databases, "copyfile", full)
    with pytest.raises(ValueError, match=r"p\.db and p\.db-wal could not be copied .*: No space"):
        databases.tables(path)
