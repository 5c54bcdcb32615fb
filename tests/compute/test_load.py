from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone
from pytest_django import Settings

from compute.machines.load import load_of, record_sample
from compute.machines.local import local_machine
from compute.models import Machine, MachineSample
from platform_site import paths
from tests import factories
from tests.waiting import together

SAMPLE = {"cpu_percent": 5.0}


@pytest.mark.django_db
def test_the_local_machine_is_made_once(settings: Settings) -> None:
    first, second = local_machine(), local_machine()
    assert first.pk == second.pk
    assert first.workdir == str(settings.TRAINYARD_HOME)
    assert first.python == str(settings.TRAINYARD_TRAIN_PYTHON)
    assert first.slots == 1


@pytest.mark.backends
@pytest.mark.django_db(transaction=True)
def test_the_local_machine_is_made_once_by_many_at_once() -> None:
    together(local_machine, 6)
    assert Machine.objects.count() == 1


@pytest.mark.django_db
def test_samples_are_kept_for_an_hour() -> None:
    machine, now = factories.make_machine(), timezone.now()
    for age in (10, 59, 61):
        MachineSample.objects.create(machine=machine, at=now - timedelta(minutes=age), data=SAMPLE)
    record_sample(machine)
    assert machine.samples.count() == 3
    assert set(machine.samples.latest().data) >= {"cpu_percent", "memory_used", "gpus"}


@pytest.mark.django_db
def test_the_load_is_the_newest_sample_and_its_history() -> None:
    machine, now = factories.make_machine(), timezone.now()
    for age, percent in ((20, 1.0), (10, 2.0), (0, 3.0)):
        data = {"cpu_percent": percent}
        MachineSample.objects.create(machine=machine, at=now - timedelta(seconds=age), data=data)
    load = load_of(machine)
    assert load["sample"] == {"at": now, "cpu_percent": 3.0}
    assert load["cpu_history"] == [1.0, 2.0, 3.0]
    assert load_of(machine, points=2)["cpu_history"] == [2.0, 3.0]


@pytest.mark.django_db
def test_an_old_load_is_no_load() -> None:
    machine = factories.make_machine()
    then = timezone.now() - timedelta(seconds=31)
    MachineSample.objects.create(machine=machine, at=then, data=SAMPLE)
    assert load_of(machine)["sample"] is None
    assert load_of(factories.make_machine())["sample"] is None


def test_paths_inside_the_allowed_folders(home: Path) -> None:
    assert paths.allowed(str(home)) == home
    assert paths.allowed(str(home / "a/../b")) == home / "b"


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "HOME/../x", "HOME-2", "", ".", "HOME/\0", "~nobody-at-all/x"]
)
def test_paths_outside(home: Path, path: str) -> None:
    assert paths.allowed(path.replace("HOME", str(home))) is None


def test_links_do_not_lead_outside(home: Path) -> None:
    (home / "link").symlink_to("/etc")
    (home / "loop").symlink_to(home / "loop")
    assert paths.allowed(str(home / "link/passwd")) is None
    assert paths.allowed(str(home / "loop")) in (None, home / "loop")
