"""A Ray cluster as a machine: added, shown and checked on its pages and by command."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client

from compute.machines import verbs
from compute.machines.errors import MachineError
from compute.machines.runners import runner_for
from compute.models import Machine, MachineEvent
from compute.runners.cluster.runner import RayRunner
from compute.setup import settingup
from jobs.trackers import accounts
from tests import factories
from tests.factories import sft_spec

pytestmark = pytest.mark.usefixtures("queue")
URL = "/machines/ray/"
TOKEN = "tok3n0123456789"
GIVEN = {
    "name": "cluster", "ray_address": "http://192.0.2.9:8265/", "workdir": "/shared/ada",
    "verl": "0.9.1", "python": "python", "slots": "2", "password": TOKEN,
}  # fmt: skip


@pytest.fixture
def boss(staff: User) -> Client:
    client = Client()
    client.force_login(staff)
    return client


@pytest.fixture
def ray(db: None) -> Machine:
    nodes = [{"name": "10.0.0.1", "cpus": 8, "gpus": 4, "is_head": True}]
    return factories.make_machine(
        kind=Machine.Kind.RAY, name="there", ray_address="http://192.0.2.9:8265",
        workdir="/shared/ada", python="python", facts={"nodes": nodes},
    )  # fmt: skip


def test_it_is_added_with_its_token_kept(boss: Client) -> None:
    assert b"Address" in boss.get(URL).content
    answer = boss.post(URL, GIVEN)
    made = Machine.objects.get(name="cluster")
    assert answer["Location"] == made.get_absolute_url()
    assert (made.kind, made.ray_address) == ("ray", "http://192.0.2.9:8265")
    assert made.secrets.get().value.open() == TOKEN
    assert made in Machine.objects.for_jobs()
    assert made.is_being_checked
    assert MachineEvent.objects.filter(machine=made, kind="added").exists()
    page = boss.get(made.get_absolute_url()).content
    assert b"http://192.0.2.9:8265" in page
    assert b"Its nodes" in page
    assert b"Set up" not in page
    assert b"Host key" not in page
    for part in ("", "edit/", "events/"):
        assert TOKEN.encode() not in boss.get(f"/machines/{made.pk}/{part}").content


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("ray_address", "head:8265"),
        ("ray_address", "ssh://head:8265"),
        ("ray_address", "http://"),
        ("ray_address", "http://head:8265/api"),
        ("ray_address", "http://user:word@head:8265"),
        ("ray_address", "http://head:99999"),
        ("ray_address", "http://he ad:8265"),
        ("workdir", "~/runs"),
        ("workdir", "/"),
        ("workdir", "/a/../b"),
        ("workdir", "/a\nb"),
        ("python", "python; touch pwned"),
        ("python", "../python"),
        ("password", "two words"),
        ("password", "größe"),
        ("name", "this machine"),
    ],
)
def test_what_is_wrong_is_said_at_its_field(boss: Client, field: str, value: str) -> None:
    answer = boss.post(URL, GIVEN | {field: value})
    assert answer.status_code == 422
    assert list(answer.context["form"].errors) == [field]
    assert TOKEN.encode() not in answer.content
    assert not Machine.objects.filter(kind="ray").exists()


def test_only_staff_may_add_one(page: Client) -> None:
    assert page.get(URL).status_code == 403
    assert page.post(URL, GIVEN).status_code == 403


def test_a_token_does_not_go_to_another_address(boss: Client, ray: Machine) -> None:
    verbs.change(ray, {}, {"password": TOKEN})
    url = f"/machines/{ray.pk}/edit/"
    moved = GIVEN | {"name": "there", "ray_address": "http://192.0.2.66:8265", "password": ""}
    answer = boss.post(url, moved)
    assert answer.status_code == 422
    assert "give it again" in str(answer.context["form"].errors["password"])
    assert boss.post(url, moved | {"password": "another"}).status_code == 302
    ray.refresh_from_db()
    assert ray.ray_address == "http://192.0.2.66:8265"
    assert ray.facts == {}  # what is known is of the former


def test_it_has_no_key_and_no_set_up(boss: Client, ray: Machine) -> None:
    assert boss.get(f"/machines/{ray.pk}/key/").status_code == 302
    assert "must have verl" in (settingup.why_not(ray) or "")
    with pytest.raises(MachineError):
        settingup.ask(ray)
    assert (ray.state, ray.is_confirmed) == ("unseen", True)
    assert isinstance(runner_for(ray), RayRunner)


def test_its_nodes_are_shown(boss: Client, ray: Machine) -> None:
    content = boss.get(ray.get_absolute_url()).content.decode()
    assert "10.0.0.1" in content
    assert "head" in content


def test_a_tracker_that_needs_an_account_is_refused_there(user: User, ray: Machine) -> None:
    spec = sft_spec(loggers="wandb")
    found = [problem.message for problem in accounts.problems(spec, user, ray)]
    assert any("everyone who sees its dashboard" in message for message in found)
    here = [problem.message for problem in accounts.problems(spec, user)]
    assert not any("dashboard" in message for message in here)


def command(*argv: str, **options: Any) -> Any:
    out = io.StringIO()
    call_command("machine", *argv, "--json", stdout=out, **options)
    return json.loads(out.getvalue())


def test_by_command(home: Path, user: User) -> None:
    (home / "token").write_text(f"{TOKEN}\n")
    argv = ("--ray", "http://192.0.2.9:8265", "--workdir", "/shared/ada")
    made = command("add", "cluster", *argv, "--token-file", str(home / "token"))
    assert made["kind"] == "ray"
    assert made["ray_address"] == "http://192.0.2.9:8265"
    assert made["python"] == "python"
    assert TOKEN not in json.dumps(made)
    assert Machine.objects.get(name="cluster").secrets.get().value.open() == TOKEN
    with pytest.raises(CommandError, match="workdir"):
        command("add", "other", "--ray", "http://192.0.2.9:8265", "--workdir", "~")
    assert command("remove", "cluster")["removed"] == "cluster"


def test_another_address_waits_for_what_runs_there(boss: Client, ray: Machine, user: User) -> None:
    job = factories.make_job(user, machine=ray, status="running", name="far")
    url, moved = f"/machines/{ray.pk}/edit/", GIVEN | {"ray_address": "http://192.0.2.66:8265"}
    answer = boss.post(url, moved)
    assert answer.status_code == 422
    assert f"{job.pk} (far)" in str(answer.context["form"].errors["ray_address"])
    job.status = "paused"
    job.save()
    assert boss.post(url, moved).status_code == 302
