"""Making a training environment: real pip and the real node package; fake verl, torch, setuptools.

No network is needed, and none can be used: pip is told to look into a folder of fake wheels only.
"""

import hashlib
import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from compute.runners.base import RunnerError, RunnerUnsure, Unreachable
from compute.runners.commands import RunCommand
from compute.runners.ssh import setup
from compute.runners.ssh.connection import close_all, connection_to
from compute.runners.ssh.setup import Plan, SetUpFailed, set_up
from compute.runners.ssh.workdir import is_plain
from tests import sshd as real
from tests.fakes.fake_packages import fake_packages
from tests.sshd import Account, Sshd

ROOT = Path(__file__).resolve().parents[3]


class Heard(setup.Progress):
    def __init__(self) -> None:
        self.steps: list[str] = []
        self.text = ""

    def step(self, title: str) -> None:
        self.steps.append(title)

    def log(self, text: str) -> None:
        self.text += text


@pytest.fixture(scope="module")
def packages(far_account: Account) -> Iterator[Path]:
    folder = far_account.folder()
    yield far_account.owns(fake_packages(folder / "fake packages"))
    shutil.rmtree(folder)


@pytest.fixture
def environments(tmp_path: Path) -> Path:
    return make_environments(tmp_path / "environments")


def make_environments(folder: Path) -> Path:
    """This repository's folder, with a lock of two fake packages."""
    (folder / "verl-0.9").mkdir(parents=True)
    shutil.copy(ROOT / "environments/install.sh", folder)
    shutil.copytree(
        ROOT / "environments/node", folder / "node", ignore=shutil.ignore_patterns("*.egg-info")
    )
    for name in ("lock.txt", "requirements.txt"):
        (folder / "verl-0.9" / name).write_text("torch==2.13.0\nverl==0.9.1\n")
    return folder


@pytest.fixture
def plan(environments: Path, far_folder: Path) -> Plan:
    return Plan(environments, "verl-0.9", f"{far_folder}/my-runs")


def short_pause(seconds: float) -> None:
    """Between two looks at an installation; pip gets the processor meanwhile."""
    threading.Event().wait(0.2)


@pytest.fixture(scope="module")
def made(here: RunCommand, tmp_path_factory: pytest.TempPathFactory) -> tuple[Plan, str, Heard]:
    """An environment that several tests look at and change: making one takes a while."""
    folder = tmp_path_factory.mktemp("made")
    plan, heard = Plan(make_environments(folder / "here"), "verl-0.9", f"{folder}/my-runs"), Heard()
    return plan, set_up(here, plan, heard, short_pause), heard


@pytest.fixture(scope="module")
def here(packages: Path) -> RunCommand:
    """The far side's programs, run on this machine by this user."""

    def ask(argv: Sequence[str], stdin: bytes, within: float) -> bytes:
        env = os.environ | {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": packages.as_uri()}
        done = subprocess.run(
            ["/usr/bin/python3" if argv[0] == "python3" else argv[0], *argv[1:]], input=stdin,
            capture_output=True, env=env, timeout=within, check=False,
        )  # fmt: skip
        if done.returncode:
            raise RunnerError(done.stderr.decode())
        return done.stdout

    return ask


def test_what_is_sent_has_no_tests_and_no_caches(plan: Plan) -> None:
    (plan.environments / "node/trainyard_node/__pycache__").mkdir(exist_ok=True)
    (plan.environments / "node/trainyard_node/__pycache__/x.pyc").write_bytes(b"x")
    names = set(setup.files_of(plan))
    assert {"install.sh", "verl-0.9/lock.txt", "verl-0.9/requirements.txt"} < names
    assert {"node/pyproject.toml", "node/trainyard_node/run.py"} < names
    assert "node/trainyard_node/dpo/config/dpo_trainer.yaml" in names
    assert not [name for name in names if "__pycache__" in name or "egg-info" in name]


def test_an_environment_is_made_and_nothing_else(
    here: RunCommand, made: tuple[Plan, str, Heard]
) -> None:
    plan, python, heard = made
    work = Path(plan.workdir)
    assert python == f"{work}/environments/verl-0.9/.venv/bin/python"
    said = subprocess.run(
        [python, "-c", "import verl, trainyard_node; print(trainyard_node.__file__)"],
        capture_output=True, text=True, check=True, cwd="/",
    )  # fmt: skip
    assert said.stdout.strip().startswith(f"{work}/environments/node/")
    assert [path.name for path in work.iterdir()] == ["environments"]
    assert heard.steps[0] == "Looking what is there"
    assert heard.steps[1].startswith("Sending ")
    assert "Installing verl 0.9 and its packages" in heard.steps
    assert "Successfully installed torch-2.13.0 verl-0.9.1" in heard.text

    again = Heard()
    assert set_up(here, plan, again, short_pause) == python
    assert again.steps == ["Looking what is there", "Everything is there already"]


def test_an_environment_has_a_path_that_ray_starts_workers_from(
    here: RunCommand, environments: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ray leaves its Python unquoted in a shell line; runs still lie where the user wants them."""
    monkeypatch.setenv("HOME", str(tmp_path))
    plan = Plan(environments, "verl-0.9", f"{tmp_path}/it's $(touch pwned) mine")
    python = set_up(here, plan, Heard(), short_pause)
    assert is_plain(python)
    assert python.startswith(f"{tmp_path}/.trainyard/")
    assert (
        subprocess.run(["bash", "-c", f"exec {python} -c 'import verl'"], check=False).returncode
        == 0
    )
    assert not Path(plan.workdir).exists()
    assert Plan(environments, "verl-0.9", "/another one").root != plan.root

    monkeypatch.setenv("HOME", f"{tmp_path}/no good")
    with pytest.raises(SetUpFailed, match="a work folder with such a path"):
        set_up(here, plan, Heard(), short_pause)


def test_only_what_changed_is_sent_and_what_is_the_users_stays(
    here: RunCommand, made: tuple[Plan, str, Heard]
) -> None:
    plan = made[0]
    theirs, ours = Path(plan.workdir, "environments/node"), plan.environments / "node"
    (theirs / "mine.txt").write_text("a note")
    (theirs / "trainyard_node/alive.py").write_text("# mine now\n")
    (ours / "trainyard_node/new.py").write_text("x = 1\n")
    for name in ("alive.py", "stop.py"):
        (ours / "trainyard_node" / name).unlink()
    heard = Heard()
    set_up(here, plan, heard, short_pause)
    assert heard.steps[1] == f"Sending 1 of {len(setup.files_of(plan))} files"
    assert (theirs / "trainyard_node/new.py").read_text() == "x = 1\n"
    assert (theirs / "mine.txt").read_text() == "a note"
    assert (theirs / "trainyard_node/alive.py").read_text() == "# mine now\n"
    assert not (theirs / "trainyard_node/stop.py").exists(), "sent once, and no longer"
    assert list(theirs.rglob("*.part-*")) == []


def test_an_installation_whose_processes_died_is_begun_again(
    here: RunCommand, made: tuple[Plan, str, Heard]
) -> None:
    """As after a restart of the machine: the log is there, nobody holds the lock, no code."""
    code = Path(made[0].workdir, "environments/verl-0.9/setup.code")
    code.unlink()
    heard = Heard()
    set_up(here, made[0], heard, short_pause)
    assert "Starting the installation" in heard.steps
    assert code.read_text() == "0"
    with pytest.raises(SetUpFailed, match="was the machine restarted"):
        setup._judge(None, "")


def test_a_failed_installation_says_why_and_can_be_repeated(here: RunCommand, plan: Plan) -> None:
    lock = plan.environments / "verl-0.9/requirements.txt"
    lock.write_text("verl==0.9.1\nnot-a-fake-package==1\n")
    with pytest.raises(SetUpFailed, match="No matching distribution found for not-a-fake-package"):
        set_up(here, plan, Heard(), short_pause)
    lock.write_text("verl==0.9.1\ntorch==2.13.0\n")
    heard = Heard()
    set_up(here, plan, heard, short_pause)
    assert any(step.startswith("Sending 1 of") for step in heard.steps)


@pytest.mark.parametrize("edited", [False, True])
def test_a_checkout_is_left_alone(
    here: RunCommand, plan: Plan, far_folder: Path, edited: bool
) -> None:
    checkout = far_folder / "my-runs"
    shutil.copytree(plan.environments, checkout / "environments")
    if edited:
        (checkout / "environments/install.sh").write_text("# mine")
    else:
        (checkout / "manage.py").touch()
    before = {path: path.read_bytes() for path in checkout.rglob("*") if path.is_file()}
    with pytest.raises(SetUpFailed, match=r"no set-up has made .*: it looks like a checkout"):
        set_up(here, plan, Heard(), short_pause)
    assert {path: path.read_bytes() for path in checkout.rglob("*") if path.is_file()} == before


def test_a_second_release_leaves_what_the_first_one_needs(here: RunCommand, plan: Plan) -> None:
    ours = plan.environments
    shutil.copytree(ours / "verl-0.9", ours / "verl-0.8")
    (ours / "node/trainyard_node/old.py").touch()
    for release, gone in (("verl-0.9", "old.py"), ("verl-0.8", "older.py")):
        now = Plan(ours, release, plan.workdir)
        files = setup.files_of(now)
        digests = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
        far = setup._Far(here, now, Heard(), short_pause)
        far.take(setup.pack(files, digests, far.look(digests)["missing"]))
        (ours / "node/trainyard_node" / gone).unlink(missing_ok=True)
    theirs = Path(plan.root)
    assert (theirs / "verl-0.9/lock.txt").exists()
    assert (theirs / "verl-0.8/lock.txt").exists()
    assert not (theirs / "node/trainyard_node/old.py").exists()  # of both, so it goes with either
    sent = json.loads((theirs / "sent.json").read_text())
    assert {"verl-0.9/lock.txt", "verl-0.8/lock.txt", "node/pyproject.toml"} < set(sent)


def test_a_folder_that_is_somebody_elses_is_left_alone(
    here: RunCommand, plan: Plan, far_folder: Path
) -> None:
    mine = far_folder / "my-runs/environments/verl-0.9/.venv/precious"
    mine.parent.mkdir(parents=True)
    mine.write_text("data")
    with pytest.raises(SetUpFailed, match="is in use for something else"):
        set_up(here, plan, Heard(), short_pause)
    assert mine.read_text() == "data"


def test_without_a_python_it_says_how_to_get_one(here: RunCommand, plan: Plan) -> None:
    def without(argv: Sequence[str], stdin: bytes, within: float) -> bytes:
        said = here(argv, stdin, within)
        return json.dumps(json.loads(said) | {"base": None}).encode()

    with pytest.raises(SetUpFailed, match=r"uv python install 3\.12"):
        set_up(without, plan, Heard(), short_pause)


class Cutting:
    """Fails, as a connection that breaks does, at each of these commands; then goes on."""

    def __init__(self, run: RunCommand, *cuts: tuple[str, type[RunnerError]], after: bool) -> None:
        self.run, self.cuts, self.after = run, list(cuts), after

    def __call__(self, argv: Sequence[str], stdin: bytes, within: float) -> bytes:
        command = argv[3]
        cut = next((cut for cut in self.cuts if cut[0] == command), None)
        if cut and self.after:
            self.run(argv, stdin, within)
        if cut:
            self.cuts.remove(cut)
            raise cut[1]("The connection was cut.")
        return self.run(argv, stdin, within)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_cut_at_any_command_is_waited_out(here: RunCommand, plan: Plan, after: bool) -> None:
    commands = ("take", "start", "follow", "verify")
    cuts = [(name, kind) for name in commands for kind in (Unreachable, RunnerUnsure)]
    ask, heard = Cutting(here, *cuts, after=after), Heard()
    set_up(ask, plan, heard, short_pause)
    assert ask.cuts == []
    assert heard.text.count("Successfully installed torch-2.13.0 verl-0.9.1") == 1


def test_a_machine_that_is_not_there_is_told_at_once(plan: Plan) -> None:
    def off(argv: Sequence[str], stdin: bytes, within: float) -> bytes:
        raise Unreachable("It is off.")

    with pytest.raises(Unreachable, match="It is off"):
        set_up(off, plan, Heard(), lambda seconds: pytest.fail("waited"))


# Through a real sshd.


@pytest.fixture
def server(far_account: Account, packages: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sshd]:
    """A server whose sessions let pip see the fake packages only."""
    told = f'SetEnv PIP_NO_INDEX=1 "PIP_FIND_LINKS={packages.as_uri()}"\n'
    monkeypatch.setattr(real, "CONFIG", real.CONFIG + told)
    with Sshd(far_account) as server:
        yield server
        close_all()


def test_behind_a_real_sshd_by_an_ordinary_user(server: Sshd, plan: Plan, far_folder: Path) -> None:
    connection, heard = connection_to(server.address()), Heard()
    python = set_up(connection.run, plan, heard, short_pause)
    assert Path(python).exists()
    owner = (far_folder / "my-runs/environments/verl-0.9/.venv").owner()
    assert owner == server.account.name
    assert set_up(connection.run, plan, Heard(), short_pause) == python


def test_an_installation_outlives_the_connection_and_is_found_again(
    server: Sshd, plan: Plan, far_folder: Path
) -> None:
    """Every session is killed while pip waits for us; a second set-up goes on with the first."""
    gate = far_folder / "go"
    install = plan.environments / "install.sh"
    waits = f'until [ -e "{gate}" ]; do sleep 0.05; done\n'
    install.write_text(
        install.read_text().replace("set -euo pipefail\n", f"set -euo pipefail\n{waits}")
    )
    connection = connection_to(server.address())

    class CutOff(Exception):
        pass

    def leave(seconds: float) -> None:
        raise CutOff

    with pytest.raises(CutOff):
        set_up(connection.run, plan, Heard(), leave)
    server.cut()
    lock = far_folder / "my-runs/environments/verl-0.9/setup.lock"
    assert lock.exists()

    gate.touch()
    heard = Heard()
    python = set_up(connection.run, plan, heard, short_pause)
    assert Path(python).exists()
    assert not any(step.startswith(("Sending", "Starting")) for step in heard.steps)
    assert heard.text.count("Successfully installed torch-2.13.0 verl-0.9.1") == 1
