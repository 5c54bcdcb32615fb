"""A kind of job that a package brings, as a user installs it: nothing of Trainyard is changed."""

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.test import Client

from compute.machines.local import local_machine
from jobs.kinds.registry import GROUP, registry
from jobs.launch import start, submit
from jobs.models import Job, Status
from jobs.verl.spec import TrainSpec
from tests import factories, processes
from tests.fakes.fake_packages import fake_wheel
from tests.waiting import eventually

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("queue"),
]
PACKAGE = Path(__file__).resolve().parents[2] / "plugin_kind"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package as pip installs it, with its own dist-info, beside the site's packages."""
    target, wheels = (tmp_path_factory.mktemp(name) for name in ("installed", "wheels"))
    argv = ["--quiet", "--no-index", "--no-deps", "--target", str(target)]
    wheel = str(wheel_of(PACKAGE, wheels))
    subprocess.run([sys.executable, "-m", "pip", "install", *argv, wheel], check=True)
    assert list(target.glob("trainyard_count-0.1.0.dist-info/entry_points.txt"))
    return target


def wheel_of(source: Path, folder: Path) -> Path:
    """The wheel that a build of the package would make: a test has no network to build one."""
    about = tomllib.loads((source / "pyproject.toml").read_text())["project"]
    name, version = about["name"].replace("-", "_"), about["version"]
    files = {str(p.relative_to(source)): p.read_text() for p in source.rglob("*.py")}
    lines = [f"{key} = {value}" for key, value in about["entry-points"][GROUP].items()]
    points = "\n".join([f"[{GROUP}]", *lines, ""])
    fake_wheel(
        folder, name, version, files | {f"{name}-{version}.dist-info/entry_points.txt": points}
    )
    (made,) = folder.glob("*.whl")
    return made


@pytest.fixture
def plugin(installed: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.syspath_prepend(str(installed))
    registry.cache_clear()
    yield installed
    registry.cache_clear()


def order(user: User, **fields: object) -> submit.Order:
    """An order as a package's own form or command would make it."""
    from trainyard_count.kind import CountSpec  # type: ignore[import-not-found]

    given = {"spec": CountSpec(5), "recipe": "", "steps": None, "name": "counting"}
    return factories.make_order(user, **given | fields)


def test_its_job_runs_to_its_end_through_the_watcher(
    plugin: Path, user: User, home: Path, page: Client
) -> None:
    job = submit.submit(order(user), start=True)
    assert (job.kind, job.kind_label, job.gpus) == ("count", "Counting", 0)
    start.launch_queued(job.machine_id)
    with processes.running("watchjobs", env=processes.environment(home, PYTHONPATH=str(plugin))):
        eventually(lambda: Job.objects.filter(pk=job.pk, status__in=["completed", "failed"]))
    job.refresh_from_db()
    assert (job.status, job.reason) == (Status.COMPLETED, "Counted to 5.")
    assert (job.step, job.steps) == (5, 5)
    assert job.series.get(name="count/number").last_value == 5
    shown = page.get(job.get_absolute_url()).content.decode()
    assert "5 of 5 numbers" in shown
    assert re.findall(r'<section id="(\w+)"', shown)[-3:] == ["charts", "log", "events"]
    for missing in ("system", "checkpoints", "config"):
        assert f'id="{missing}"' not in shown
        assert f'href="#{missing}"' not in shown
    assert 'data-keys="[&quot;count/number&quot;]"' in shown
    assert 'data-chart-group="Key metrics"' in shown
    assert "Save as recipe" not in shown


def test_it_is_in_the_list_and_can_be_compared(plugin: Path, user: User, page: Client) -> None:
    one, other = submit.submit(order(user), start=False), factories.make_job(user)
    listed = page.get("/jobs/?kind=count").content.decode()
    assert one.name in listed
    assert other.name not in listed
    assert "Counting (1)" in listed
    side_by_side = page.get(f"/jobs/compare/?job={one.pk}&job={other.pk}").content.decode()
    assert "Counting" in side_by_side
    assert "Last" in side_by_side


def test_without_its_package_its_jobs_are_still_shown(
    installed: Path, monkeypatch: pytest.MonkeyPatch, user: User, page: Client
) -> None:
    job = factories.make_job(user, kind="count", spec={"last": 5}, recipe="")
    factories.add_points(job, "count/number", {5: 5.0})
    shown = page.get(job.get_absolute_url())
    assert shown.status_code == 200
    assert 'data-chart-group="count"' in shown.content.decode()
    assert 'data-keys="[]"' in shown.content.decode()
    assert "count (1)" in page.get("/jobs/").content.decode()
    assert page.get(f"/jobs/{job.pk}/clone/").status_code == 404


def test_a_command_names_what_is_there(plugin: Path, home: Path) -> None:
    env = processes.environment(home, PYTHONPATH=str(plugin))
    found = json.loads(processes.run("kinds", "--json", env=env).stdout)
    assert {"kind": "count", "label": "Counting", "counts": "numbers"} in found["kinds"]
    assert found["left_out"] == []


def test_a_broken_package_is_named_and_the_site_comes_up(
    plugin: Path, tmp_path: Path, home: Path
) -> None:
    broken = tmp_path / "broken"
    info = broken / "broken_kind-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken-kind\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[trainyard.kinds]\nbroken = broken_kind:Kind\n")
    env = processes.environment(home, PYTHONPATH=f"{plugin}:{broken}")
    checked = processes.run("check", env=env)
    assert checked.returncode == 0
    assert "broken = broken_kind:Kind: It brings no kind of job: ModuleNotFoundError" in (
        checked.stderr + checked.stdout
    )


def test_training_goes_on_beside_it(plugin: Path, user: User) -> None:
    job = submit.submit(factories.make_order(user), start=False)
    assert isinstance(job.spec_of_kind, TrainSpec)
    assert local_machine() == job.machine
