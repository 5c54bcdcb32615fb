"""A machine from the first contact to the first check, by commands, against a real sshd."""

import io
import json
import os
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from compute.checks import checking
from compute.machines import addresses, verbs
from compute.machines.addresses import address_of
from compute.machines.load import record_sample
from compute.machines.reachability import mark_reachable
from compute.machines.runners import runner_for
from compute.models import Machine, SetUp
from compute.runners.base import LoginRefused, RunnerError
from compute.runners.ssh import connection as connections
from compute.runners.ssh import setup
from compute.runners.ssh.connection import close_all, connection_to
from compute.runners.ssh.runner import SshRunner
from compute.setup import settingup
from monitoring.watch.watching_machine import MachineWatcher
from platform_site.work.tasks import start
from tests import factories
from tests.compute.runners.test_setup import environments, packages, server  # noqa: F401
from tests.sshd import Account, Sshd
from tests.waiting import eventually

pytestmark = pytest.mark.django_db


def run(*argv: str, code: int = 0) -> str:
    out = io.StringIO()
    if code:
        with pytest.raises(SystemExit) as ended:
            call_command("machine", *argv, stdout=out)
        assert ended.value.code == code
    else:
        call_command("machine", *argv, stdout=out)
    return out.getvalue()


def add(at: Sshd, folder: Path, *argv: str, name: str = "gpu box") -> str:
    return run(
        "add", name, "--host", "127.0.0.1", "--port", str(at.port),
        "--user", at.account.name, "--key-file", str(at.folder / "login"),
        "--workdir", f"{folder}/my runs", *argv,
    )  # fmt: skip


def added(at: Sshd, folder: Path, workdir: str = "my runs") -> Machine:
    add(at, folder, "--fingerprint", at.fingerprint(), "--workdir", f"{folder}/{workdir}")
    return Machine.objects.get(name="gpu box")


def outcomes(machine: Machine) -> dict[str, str]:
    machine.refresh_from_db()
    return {check["name"]: check["outcome"] for check in machine.checks}


def test_the_first_contact_shows_the_key_and_uses_nothing(sshd: Sshd, far_folder: Path) -> None:
    said = add(sshd, far_folder)
    assert f"ssh-ed25519 key: {sshd.fingerprint()}" in said
    assert "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub" in said
    assert f"machine confirm 'gpu box' --fingerprint {sshd.fingerprint()}" in said
    machine = Machine.objects.get(name="gpu box")
    assert machine.state == "unconfirmed"
    with pytest.raises(CommandError, match="Confirm its host key first"):
        run("check", "gpu box")


def test_a_fingerprint_that_is_not_shown_confirms_nothing(
    sshd: Sshd, far_folder: Path, staff: User
) -> None:
    add(sshd, far_folder)
    with pytest.raises(CommandError, match="which was not named"):
        run("confirm", "gpu box", "--fingerprint", "SHA256:another")
    shown = json.loads(run("confirm", "gpu box", "--json"))
    assert (shown["state"], shown["shown"]["fingerprint"]) == ("unconfirmed", sshd.fingerprint())
    run("confirm", "gpu box", "--fingerprint", sshd.fingerprint())
    machine = Machine.objects.get(name="gpu box")
    assert (machine.host_key, machine.confirmed_by) == (sshd.host_key(), staff)


def test_a_check_before_the_set_up(sshd: Sshd, far_folder: Path) -> None:
    machine = added(sshd, far_folder)
    data = json.loads(run("check", "gpu box", "--json", code=1))
    assert data["failed"] >= 4
    found = outcomes(machine)
    for name in ("reach", "host_key", "login", "rights", "home", "workdir", "ports", "clock"):
        assert found[name] == "pass", name
    assert [found[name] for name in ("packages", "verl", "node", "ray")] == ["fail"] * 4
    assert machine.facts["parts"]["account"]["data"]["home"] == str(sshd.account.home)
    assert (machine.state, machine.unreachable_since) == ("reachable", None)
    workdir = next(check for check in machine.checks if check["name"] == "workdir")
    assert workdir["found"] == f"{far_folder}/my runs can be written to, which will be made"
    assert not (far_folder / "my runs").exists(), "a check makes nothing"


def test_a_work_folder_in_the_home_with_a_space(sshd: Sshd, far_folder: Path) -> None:
    machine = added(sshd, far_folder)
    verbs.change(machine, {"workdir": "~/none such; touch 'x"}, {})
    checking.check(machine)
    assert outcomes(machine)["workdir"] == "pass"
    found = next(check["found"] for check in machine.checks if check["name"] == "workdir")
    assert found.startswith(f"{sshd.account.home}/none such; touch 'x can be written to")
    assert not (sshd.account.home / "x").exists()


def test_a_server_without_sftp_is_enough(far_account: Account, far_folder: Path) -> None:
    """Nothing that a run needs goes by SFTP, so a work folder in the home is found without it."""
    with Sshd(far_account, has_sftp=False) as plain:
        machine = added(plain, far_folder)
        verbs.change(machine, {"workdir": "~/none such"}, {})
        checking.check(machine)
        assert {outcomes(machine)[name] for name in ("workdir", "files")} == {"pass"}
        runner = runner_for(machine)
        assert isinstance(runner, SshRunner)
        assert runner.workdir == f"{far_account.home}/none such"
        close_all()


def test_files_that_nobody_answers_about_fail_the_check(
    sshd: Sshd, far_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: SshRunner, path: str) -> bool:
        raise RunnerError("Channel closed.")

    monkeypatch.setattr(SshRunner, "exists", refuse)
    machine = added(sshd, far_folder)
    checking.check(machine)
    check = next(check for check in machine.checks if check["name"] == "files")
    assert (check["outcome"], check["says"]) == ("fail", "Channel closed.")
    assert check["fix"] == "manage.py machine setup 'gpu box'"


def test_a_changed_key_refuses_until_it_is_replaced(
    own_sshd: Sshd, far_folder: Path, client: Client, staff: User
) -> None:
    machine, old = added(own_sshd, far_folder), own_sshd.fingerprint()
    own_sshd.stop()
    own_sshd.new_host_key()
    own_sshd.start()
    new = own_sshd.fingerprint()
    run("check", "gpu box", code=1)
    assert outcomes(machine)["host_key"] == "fail"
    assert old in machine.unreachable_reason
    assert new in machine.unreachable_reason
    client.force_login(staff)
    page = client.get(f"/machines/{machine.pk}/").content.decode()
    assert "Unreachable since" in page
    assert new in page
    assert old in client.get(f"/machines/{machine.pk}/key/").content.decode()
    response = client.post(f"/machines/{machine.pk}/key/", {"fingerprint": new})
    assert response.status_code == 302
    machine.refresh_from_db()
    assert (machine.fingerprint, machine.state) == (new, "unseen")
    checking.check(machine)
    assert outcomes(machine)["login"] == "pass"


def test_a_wrong_password_is_told(sshd: Sshd, far_folder: Path, far_account: Account) -> None:
    machine = added(sshd, far_folder)
    verbs.change(machine, {}, {"password": "wrong-one"}, ["private_key"])
    run("check", "gpu box", code=1)
    found = outcomes(machine)
    assert [found[name] for name in ("reach", "host_key", "login")] == ["pass", "pass", "fail"]
    assert set(found.values()) == {"pass", "fail", "unknown"}
    assert "wrong-one" not in json.dumps(machine.checks)
    with pytest.raises(LoginRefused):
        runner_for(machine).now()


def test_a_refused_login_waits_for_the_user(
    sshd: Sshd, far_folder: Path, monkeypatch: pytest.MonkeyPatch, client: Client, staff: User
) -> None:
    machine = added(sshd, far_folder)
    verbs.change(machine, {}, {"password": "wrong-one"}, ["private_key"])
    monkeypatch.setattr("compute.runners.ssh.connection.FIRST_PAUSE", 0.0)
    watcher = MachineWatcher(machine)

    def look() -> None:
        watcher.measure_at = 0.0
        assert watcher.turn(threading.Event())
        machine.refresh_from_db()

    for _ in range(5):
        look()
    assert "a login is tried every 15 minutes only" in machine.unreachable_reason
    client.force_login(staff)
    page = client.get(machine.get_absolute_url()).content.decode()
    assert "a login is tried every 15 minutes only" in page
    key = (sshd.folder / "login").read_text()
    verbs.change(machine, {}, {"private_key": key}, ["password"])
    look()
    assert machine.unreachable_since is None


def test_what_a_check_found_lets_the_watcher_try_again(
    own_sshd: Sshd, far_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = added(own_sshd, far_folder)
    monkeypatch.setattr("compute.runners.ssh.connection.FIRST_PAUSE", 3600.0)
    watcher = MachineWatcher(machine)
    own_sshd.stop()
    watcher.turn(threading.Event())
    own_sshd.start()
    watcher.measure_at = 0.0
    watcher.turn(threading.Event())
    machine.refresh_from_db()
    assert machine.unreachable_since is not None  # it does not try yet
    mark_reachable(machine)  # another process's check came through
    watcher.measure_at = 0.0
    watcher.turn(threading.Event())
    machine.refresh_from_db()
    assert machine.unreachable_since is None


def test_what_opens_a_machine_is_forgotten_with_it(
    sshd: Sshd, far_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = added(sshd, far_folder)
    line = connection_to(address_of(machine))
    transport = line.transport()
    # Changed by another process: this one has it as it was.
    Machine.objects.filter(pk=machine.pk).update(user="other", changed_at=timezone.now())
    monkeypatch.setattr(addresses, "FORGET_EVERY", 0.0)
    monkeypatch.setattr(addresses, "_looked_at", [0.0])
    other = factories.make_ssh_machine()
    address_of(other)
    assert not transport.is_active()
    assert line.address not in connections._all
    assert set(addresses._addresses) == {other.pk}
    verbs.remove(other)
    assert addresses._addresses == {}


@pytest.mark.skipif(os.getuid() != 0, reason="the password of whoever runs the tests is not known")
def test_the_right_password_lets_in(sshd: Sshd, far_folder: Path, far_account: Account) -> None:
    machine = added(sshd, far_folder)
    verbs.change(machine, {}, {"password": far_account.password}, ["private_key"])
    checking.check(machine)
    assert outcomes(machine)["login"] == "pass"


def test_unreachable_and_back(own_sshd: Sshd, far_folder: Path) -> None:
    machine = added(own_sshd, far_folder)
    assert record_sample(machine) is None, "what measures is not set up yet"
    machine.refresh_from_db()
    assert machine.state == "reachable"
    checking.check(machine)
    known = machine.facts
    own_sshd.stop()
    eventually(lambda: record_sample(machine) or gone(machine), what="the loss")
    since, seen = machine.unreachable_since, machine.seen_at
    run("check", "gpu box", code=1)
    assert outcomes(machine)["reach"] == "fail"
    assert set(outcomes(machine).values()) == {"fail", "unknown"}
    assert (machine.facts, machine.unreachable_since, machine.seen_at) == (known, since, seen)
    own_sshd.start()
    checking.check(machine)
    assert (machine.state, machine.unreachable_reason) == ("reachable", "")


def gone(machine: Machine) -> bool:
    machine.refresh_from_db()
    return machine.unreachable_since is not None


def test_a_host_behind_another(sshd: Sshd, own_sshd: Sshd, far_folder: Path) -> None:
    both = f"{own_sshd.fingerprint()},{sshd.fingerprint()}"
    own_sshd.allow((sshd.folder / "login.pub").read_text())
    add(sshd, far_folder, "--jump", f"127.0.0.1:{own_sshd.port}", "--fingerprint", both)
    machine = Machine.objects.get(name="gpu box")
    assert machine.jump_fingerprint == own_sshd.fingerprint()
    assert machine.fingerprint == sshd.fingerprint()
    checking.check(machine)
    assert outcomes(machine)["login"] == "pass"


def test_set_up_by_command_and_then_checked(
    server: Sshd,  # noqa: F811
    environments: Path,  # noqa: F811
    far_folder: Path,
    settings: Settings,
) -> None:
    settings.TRAINYARD_VERL_SCHEMA = environments
    machine = added(server, far_folder, "runs")
    said = run("setup", "gpu box")
    python = f"{far_folder}/runs/environments/verl-0.9/.venv/bin/python"
    assert "== Installing verl 0.9 and its packages" in said
    assert "Successfully installed torch-2.13.0 verl-0.9.1" in said
    assert said.strip().endswith(f"Ready: {python}")
    machine.refresh_from_db()
    assert machine.python == python
    work = SetUp.objects.get(machine=machine)
    assert (work.state, work.error) == ("done", "")
    assert "Successfully installed" in work.log
    found = outcomes(machine)
    assert [found[name] for name in ("python", "packages", "verl", "node")] == ["pass"] * 4
    assert found["ray"] == "fail", "there is no fake one"
    assert json.loads(run("setup", "gpu box", "--json")) == {"name": "gpu box", "python": python}


def test_a_set_up_that_fails_says_so_in_its_row(
    server: Sshd,  # noqa: F811
    environments: Path,  # noqa: F811
    far_folder: Path,
    settings: Settings,
) -> None:
    settings.TRAINYARD_VERL_SCHEMA = environments
    (environments / "verl-0.9/requirements.txt").write_text("verl==0.9.1\nno-fake-one==1\n")
    machine = added(server, far_folder, "runs")
    with pytest.raises(CommandError, match="No matching distribution found for no-fake-one"):
        run("setup", "gpu box")
    work = SetUp.objects.get(machine=machine)
    assert work.state == "failed"
    assert "No matching distribution" in work.error
    machine.refresh_from_db()
    assert machine.python == ""


def test_the_workers_start_a_process_that_does_what_was_asked(
    sshd: Sshd, far_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine, started = added(sshd, far_folder), []

    def fake_popen(argv: list[str], **options: Any) -> None:
        started.append((argv[1:], options["start_new_session"]))

    monkeypatch.setattr(subprocess, "Popen", fake_popen)
    work = settingup.ask(machine)
    start("compute.setup", work.pk)
    assert started == [(["manage.py", "work", "compute.setup", str(work.pk)], True)]
    monkeypatch.setattr(setup, "set_up", lambda *args: "/there/bin/python")
    monkeypatch.setattr(checking, "check", lambda machine: None)
    call_command("work", "compute.setup", str(work.pk))
    work.refresh_from_db()
    machine.refresh_from_db()
    assert (work.state, machine.python) == ("done", "/there/bin/python")


def test_list_show_and_remove(sshd: Sshd, far_folder: Path) -> None:
    machine = added(sshd, far_folder)
    assert connection_to(address_of(machine))
    listed = json.loads(run("list", "--json"))
    assert [(row["name"], row["kind"], row["state"]) for row in listed] == [
        ("gpu box", "ssh", "unseen")
    ]
    assert listed[0]["secrets"] == ["private_key"]
    assert f"gpu box                  ssh    unseen         1 {sshd.account.name}@" in run("list")
    assert sshd.fingerprint() in run("show", "gpu box")
    assert json.loads(run("remove", "gpu box", "--json")) == {"removed": "gpu box", "kept": False}
    with pytest.raises(CommandError, match="There is no machine of that name"):
        run("show", "gpu box")


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["--host", "a b"], "host: A host is a name"),
        (["--host", "box", "--key-file", "/nowhere/key"], "/nowhere/key cannot be read"),
        (["--host", "box", "--user", "ada"], "private_key: Give a private key or a password"),
        (["--host", "box", "--key-file", "-", "--password-file", "-"], "Only one secret"),
    ],
)
def test_bad_arguments_are_told(argv: list[str], says: str) -> None:
    with pytest.raises(CommandError, match=says):
        run("add", "box", *argv)
    assert not Machine.objects.filter(kind="ssh").exists()


def test_a_secret_is_read_from_the_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("the-password\n"))
    argv = ["--host", "127.0.0.1", "--port", "1", "--user", "ada", "--password-file", "-"]
    with pytest.raises(CommandError, match=r"box is kept\. .* refuses connections at port 1"):
        run("add", "box", *argv)
    machine = Machine.objects.get(name="box")
    assert machine.secrets.get().value.open() == "the-password"
