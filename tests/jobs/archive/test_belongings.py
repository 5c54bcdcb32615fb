"""A page looks at a bounded number of files, however many jobs it names."""

from pathlib import Path
from unittest.mock import Mock

import pytest
from django.contrib.auth.models import User
from django.test import Client

from jobs.archive import belongings
from jobs.archive.belongings import Budget, measure
from jobs.models import Deletion, Status
from tests import factories


def test_folders_count_and_what_is_left_is_for_the_next(tmp_path: Path) -> None:
    for name in ("a", "b/c"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "file").write_bytes(b"xx")
    budget = Budget(8)
    assert measure([tmp_path / "a"], budget) == (2, True)  # a folder and a file
    assert measure([tmp_path / "b"], budget) == (2, True)  # two folders and a file
    assert (measure([tmp_path], budget)[1], budget.left) == (False, 0)
    assert measure([tmp_path], budget) == (0, False)


def test_one_page_has_one_budget_and_a_deletion_measures_nothing(
    page: Client, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = [factories.make_job(user, status=Status.COMPLETED) for _ in range(2)]
    for job in jobs:
        folder = Path(belongings.run_folder(job))
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "x").write_bytes(b"x")
    monkeypatch.setattr(belongings, "MOST_FILES", 2)
    named = {"job": [job.pk for job in jobs]}
    assert page.get("/jobs/delete/", named).content.decode().count("more than") == 1
    looks = Mock(side_effect=AssertionError("it looks at files"))
    monkeypatch.setattr(belongings, "measure", looks)
    assert page.post("/jobs/delete/", named).status_code == 302
    assert Deletion.objects.count() == 2
