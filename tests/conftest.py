import gc
import os
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib.auth.models import User
from django.core.management.commands import flush
from django.db import connection
from django.test import Client
from django_q.conf import Conf
from pytest_django import Settings

from compute.machines.local import local_machine
from compute.models import Machine
from platform_site.home import instance_name
from tests import factories, taskqueue
from tests.fakes import FakeTrainer
from tests.leftovers import ended_afterwards
from tests.ray_cluster import RayCluster, ray_cluster

CLUSTER = pytest.StashKey[RayCluster]()
LAST = pytest.StashKey[pytest.Item | None]()
STAYS = {"django_content_type", "auth_permission"}


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Of two processes that test side by side, one takes a whole file, or all tests that share
    the Ray cluster: that is started once.
    """
    for item in items:
        if shares_cluster(item):
            item.add_marker(pytest.mark.ray)
        if item.get_closest_marker("xdist_group"):
            continue
        group = "the Ray cluster" if shares_cluster(item) else item.nodeid.partition("::")[0]
        item.add_marker(pytest.mark.xdist_group(group))


def shares_cluster(item: pytest.Item) -> bool:
    given = getattr(item, "callspec", None)
    by_place = given is not None and given.params.get("place") == "ray"
    return by_place or "cluster" in getattr(item, "fixturenames", ())


@pytest.fixture(scope="session")
def django_db_modify_db_settings(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Use a database that other processes can open too, and that no parallel test run shares."""
    database: dict[str, Any] = django_settings.DATABASES["default"]
    if database["ENGINE"].endswith("sqlite3"):
        database["TEST"]["NAME"] = str(tmp_path_factory.mktemp("database") / "test.sqlite3")
    else:
        database["TEST"]["NAME"] = f"test_trainyard_{os.getpid()}"
    # To delete the few rows of a test is ten times as fast as to truncate all tables. What Django
    # writes after a migration stays: to write it anew took longer than most tests.
    connection.ops.sql_flush = deleted_rows  # type: ignore[method-assign]
    flush.emit_post_migrate_signal = lambda *_: None  # type: ignore[attr-defined]
    layer: dict[str, Any] = django_settings.CHANNEL_LAYERS["default"]
    if "CONFIG" in layer:  # named as processes beside us name it, and as no second test run does
        name = instance_name(database | {"NAME": database["TEST"]["NAME"]})
        layer["CONFIG"]["prefix"] = name


def deleted_rows(style: object, tables: Iterable[str], **_: object) -> list[str]:
    """In any order: foreign keys are looked at when the transaction ends."""
    names = map(connection.ops.quote_name, set(tables) - STAYS)
    return [f"DELETE FROM {name}" for name in names]  # noqa: S608 (the names are Django's own)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir(mode=0o700)
    return folder


@pytest.fixture
def trainer(tmp_path: Path) -> FakeTrainer:
    """The machine's Python: real node commands, and a fake trainer that keeps to a plan."""
    return FakeTrainer(tmp_path / "fake")


@pytest.fixture(autouse=True)
def own_home(home: Path, trainer: FakeTrainer, settings: Settings) -> None:
    """Give each test a home of its own, so that no test sees a real instance."""
    settings.TRAINYARD_HOME = home
    settings.TRAINYARD_PATHS = [home]
    settings.TRAINYARD_TRAIN_PYTHON = Path(trainer.python)
    settings.TRAINYARD_STOP_GRACE = 1
    settings.STATIC_ROOT = home / "static"
    settings.WHITENOISE_AUTOREFRESH = True  # else each client begins with a walk over all files
    home.joinpath("static").mkdir()


@pytest.fixture(autouse=True)
def nothing_left_running(tmp_path: Path) -> Iterator[None]:
    """Whatever a test left running that names its folder is ended."""
    with ended_afterwards(tmp_path):
        yield


@pytest.fixture(scope="session")
def cluster(pytestconfig: pytest.Config) -> Iterator[RayCluster]:
    """A real cluster that the tests share; a test that breaks it starts its own."""
    with ray_cluster() as started:
        pytestconfig.stash[CLUSTER] = started
        yield started


def pytest_collection_finish(session: pytest.Session) -> None:
    sharing = [item for item in session.items if shares_cluster(item)]
    session.config.stash[LAST] = sharing[-1] if sharing else None
    gc.freeze()  # the thousands of tests stay: the collector need not go through them in each


def pytest_unconfigure() -> None:
    gc.unfreeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, object, object]:
    """End the cluster after the last test that shares it: it computes also when it has no job."""
    done = yield
    if item is item.config.stash[LAST] and CLUSTER in item.config.stash:
        item.config.stash[CLUSTER].end()
    return done


@pytest.fixture
def queue(db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An empty task queue, in the database or in Redis, under the name that other processes use."""
    for name in ("CLUSTER_NAME", "PREFIX"):
        monkeypatch.setattr(Conf, name, instance_name(connection.settings_dict))
    taskqueue.clear()
    yield
    taskqueue.clear()


@pytest.fixture
def user(db: None) -> User:
    return factories.make_user("ada")


@pytest.fixture
def other(db: None) -> User:
    return factories.make_user("mallory")


@pytest.fixture
def staff(db: None) -> User:
    return factories.make_user("root", is_staff=True, is_superuser=True)


@pytest.fixture
def machine(db: None) -> Machine:
    return local_machine()


@pytest.fixture
def page(client: Client, user: User) -> Client:
    """A browser in which ``user`` is logged in."""
    client.force_login(user)
    return client


@pytest.fixture
def samples(home: Path) -> Path:
    return factories.make_samples(home)
