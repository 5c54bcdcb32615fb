"""The figures of a run as files, by page and by command."""

import asyncio
import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client

from jobs.models import Job
from monitoring.page import export
from monitoring.series.column import Column
from monitoring.series.frame import frame_of
from monitoring.store import points
from tests import factories

NAN, INF = float("nan"), float("inf")


@pytest.fixture
def job(user: User) -> Job:
    """Two metrics with points at steps that differ, and a value that is none."""
    job, steps = factories.make_job(user), np.array([1, 2, 5])
    frame = frame_of(("a,b",), steps, np.array([[0.1], [NAN], [-INF]]))
    points.append(job, [frame], Column(steps, np.array([10.0, 20.5, 50.0])))
    factories.add_points(job, "z", {2: 7.0, 3: 1e300})
    return job


def content(page: Client, job: Job, ending: str, query: str = "") -> bytes:
    async def whole(stream: Any) -> bytes:
        return b"".join([part async for part in stream])

    response = page.get(f"/jobs/{job.pk}/metrics.{ending}{query}")
    assert response.status_code == 200
    assert response["Content-Disposition"] == (
        f'attachment; filename="run-{job.pk}-metrics.{ending}"'
    )
    return asyncio.run(whole(response)) if response.streaming else response.content


ROWS = [
    ["step", "written_at", "a,b", "z"],
    ["1", "10.0", "0.1", ""],
    ["2", "20.5", "nan", "7.0"],
    ["3", "", "", "1e+300"],
    ["5", "50.0", "-inf", ""],
]


@pytest.mark.parametrize("cells", [1, 4, 1000])
def test_a_csv_whatever_the_size_of_its_parts(job: Job, cells: int) -> None:
    parts = export.parts_of(job, ["a,b", "z"], cells)
    assert [step for table, _ in parts for step in table.steps.tolist()] == [1, 2, 3, 5]
    text = b"".join(export.as_csv(job, ["a,b", "z"])).decode()
    assert [*csv.reader(io.StringIO(text))] == ROWS


def test_json_has_the_points_of_each_metric(job: Job) -> None:
    data = json.loads(b"".join(export.as_json(job, ["a,b", "z"])))
    assert data["job"] == job.pk
    assert data["metrics"] == {
        "a,b": [[1, 0.1], [2, "nan"], [5, "-inf"]],
        "z": [[2, 7.0], [3, 1e300]],
    }


def test_parquet_knows_a_nan_from_no_point(job: Job) -> None:
    data = b"".join(export.as_parquet(job, ["a,b", "z"]))
    table = pq.read_table(io.BytesIO(data)).to_pydict()
    assert table["step"] == [1, 2, 3, 5]
    assert table["written_at"] == [10.0, 20.5, None, 50.0]
    assert np.isnan(table["a,b"][1])
    assert [table["a,b"][n] for n in (0, 2, 3)] == [0.1, None, -INF]
    assert table["z"] == [None, 7.0, 1e300, None]


@pytest.mark.django_db(transaction=True)
def test_a_file_of_all_metrics_or_of_some(page: Client, job: Job) -> None:
    assert [*csv.reader(io.StringIO(content(page, job, "csv").decode()))] == ROWS
    some = json.loads(content(page, job, "json", "?name=z&name=none"))
    assert [*some["metrics"]] == ["z"]
    assert json.loads(content(page, job, "json", "?name="))["metrics"] == {}
    assert page.get(f"/jobs/{job.pk}/metrics.xlsx").status_code == 404


def test_a_run_without_figures_is_a_file_without_rows(user: User) -> None:
    none = factories.make_job(user)
    assert b"".join(export.as_csv(none, [])) == b"step,written_at\n"
    assert json.loads(b"".join(export.as_json(none, [])))["metrics"] == {}
    assert pq.read_table(io.BytesIO(b"".join(export.as_parquet(none, [])))).num_rows == 0


def told(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    call_command("metrics", *argv)
    return capsys.readouterr().out


def test_the_command_shows_last_and_best(job: Job, capsys: pytest.CaptureFixture[str]) -> None:
    factories.add_points(job, "train/loss", {1: 0.25, 2: 0.5})
    shown = json.loads(told(capsys, str(job.pk), "--json", "--name", "train/loss"))
    assert shown == [
        {
            "name": "train/loss", "step": 2, "last": 0.5, "better": "lower", "best": 0.25,
            "least": 0.25, "greatest": 0.5, "points": 2,
        }
    ]  # fmt: skip
    assert told(capsys, str(job.pk)).splitlines()[2].split() == ["0.5", "0.25", "2", "train/loss"]


def test_the_command_writes_a_file(
    job: Job, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "all.csv"
    said = told(capsys, str(job.pk), "--as", "csv", "--to", str(file))
    assert said == f"Wrote 2 metrics of job {job.pk} to {file}.\n"
    assert [*csv.reader(file.open())] == ROWS
    for argv, words in (
        (("--as", "csv", "--to", str(file)), "is there already"),
        (("--as", "csv", "--to", str(tmp_path / "no/file")), "cannot be written"),
        (("--as", "csv", "--json"), "name it by --to"),
        (("--name", "none"), "has no metric none"),
    ):
        with pytest.raises(CommandError, match=words):
            told(capsys, str(job.pk), *argv)
