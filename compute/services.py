"""Machines: the one that is always there, their runners, their load, and whether they answer."""

import logging
import subprocess
import time
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from compute import history
from compute.models import Machine, MachineSample, MachineSecret
from compute.runners.base import HostKeyRefused, Runner, RunnerError, Unreachable
from compute.runners.cluster.runner import RayRunner
from compute.runners.cluster.spool import Room
from compute.runners.local.runner import LocalRunner
from compute.runners.ssh.address import Address, Login
from compute.runners.ssh.connection import connection_to, drop
from compute.runners.ssh.runner import SshRunner
from platform_site.secrets import SecretError

log = logging.getLogger(__name__)
KEEP_SAMPLES = timedelta(hours=1)
SEEN_EVERY = timedelta(seconds=10)  # a machine that answers all the time is not written each time
FORGET_EVERY = 60.0  # seconds between two looks for machines that changed or were removed
LOCAL_NAME = "this machine"


def local_machine() -> Machine:
    """The machine that Trainyard itself runs on, made when it is first asked for."""
    machine, _ = Machine.objects.get_or_create(name=LOCAL_NAME, defaults=_local_facts())
    return machine


def follow_settings() -> None:
    """Let this machine's folder and Python be what the settings say now. Done at each start."""
    facts = _local_facts()
    release = installed_release(facts["python"])
    if release:
        facts["verl"] = release
    Machine.objects.update_or_create(name=LOCAL_NAME, defaults=facts)


def installed_release(python: str) -> str | None:
    """The release of verl beside a Python of this machine, or None when it has none."""
    asked = "from importlib.metadata import version; print(version('verl'))"
    try:
        done = subprocess.run(
            [python, "-c", asked], capture_output=True, text=True, timeout=30, cwd="/", check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _local_facts() -> dict[str, str]:
    return {
        "kind": Machine.Kind.LOCAL,
        "workdir": str(settings.TRAINYARD_HOME),
        "python": str(settings.TRAINYARD_TRAIN_PYTHON),
    }


def runner_for(machine: Machine) -> Runner:
    """What starts, reads and stops runs there. Making it asks nothing of the machine."""
    if machine.is_local:
        return LocalRunner(machine.python, machine.workdir)
    if machine.is_group:
        head = machine.memberships.select_related("machine").first()
        return runner_for(head.machine) if head else no_runner(f"{machine} has no members.")
    if machine.is_retired:
        forget(machine.pk)
        return no_runner(f"{machine} was removed from Trainyard, with what opens it.")
    if machine.is_ray:
        return ray_runner(machine)
    try:
        # Before there is an environment, any Python reads files and tells the time.
        return SshRunner(address_of(machine), machine.python or "python3", machine.workdir)
    except RunnerError as error:
        return no_runner(str(error))


def ray_runner(machine: Machine) -> Runner:
    try:
        token = token_of(machine)
    except RunnerError as error:
        return no_runner(str(error))
    spools = Path(settings.TRAINYARD_HOME) / "ray"
    room = Room(settings.TRAINYARD_LARGEST_LOG, settings.TRAINYARD_KEEP_FREE)
    return RayRunner(machine.ray_address, token, machine.python, machine.workdir, spools, room)


def is_cut(machine: Machine, run_dir: str) -> bool:
    """Whether a run's log on a Ray cluster is longer than what is kept of it here."""
    runner = ray_runner(machine) if machine.is_ray else None
    return isinstance(runner, RayRunner) and runner.is_cut(run_dir)


def token_of(machine: Machine) -> str:
    """What the dashboard of a Ray cluster asks for, empty where none is kept: for its API only.

    Raises ``RunnerError``.
    """
    return _token(machine.pk, machine.changed_at)


@lru_cache(maxsize=256)
def _token(pk: int, changed_at: datetime) -> str:
    return _opened(pk).get(MachineSecret.Name.PASSWORD, "")


def no_runner(reason: str) -> Runner:
    """Stands for a machine that cannot be asked: whatever is asked of it, this is the answer."""

    class NoRunner:
        def __getattr__(self, name: str) -> Any:
            def refuse(*_: Any, **__: Any) -> None:
                raise Unreachable(reason)

            return refuse

    return cast(Runner, NoRunner())


def settle_paths(machine: Machine) -> None:
    """Write the home of the far user in place of a ``~``: what a run is told must be whole paths.

    Raises ``RunnerError``.
    """
    if machine.is_group:
        _settle_group(machine)
        return
    runner = runner_for(machine)
    if isinstance(runner, SshRunner):
        whole = {"workdir": runner.workdir, "python": runner.python}
        if (machine.workdir, machine.python) != (whole["workdir"], whole["python"]):
            Machine.objects.filter(pk=machine.pk).update(**whole)
            machine.workdir, machine.python = whole["workdir"], whole["python"]


def _settle_group(group: Machine) -> None:
    """A group's paths are its head's, and must be the same on all."""
    members = [each.machine for each in group.memberships.select_related("machine")]
    for member in members:
        settle_paths(member)
    head = members[0]
    for member in members:
        if member.workdir != head.workdir:
            raise RunnerError(
                f"The work folder is {member.workdir} on {member} and {head.workdir} on {head}: "
                "it must be the same on all machines of a group."
            )
    kept = {"workdir": head.workdir, "python": head.python, "verl": head.verl}
    Machine.objects.filter(pk=group.pk).update(**kept)
    group.workdir, group.python, group.verl = head.workdir, head.python, head.verl


def address_of(machine: Machine) -> Address:
    """Where the machine is and how to log in, with its secrets open: for its connection only."""
    _forget_old()
    known = _addresses.get(machine.pk)
    if known and known[0] == machine.changed_at:
        return known[1]
    address = _address(machine.pk)
    _addresses[machine.pk] = machine.changed_at, address
    if known and known[1] != address:
        drop(known[1], _used())
    elif known:
        connection_to(address).retry_now()  # somebody did something about it
    return address


# Read once for each state of a machine: one that changed has another ``changed_at``.
_addresses: dict[int, tuple[datetime, Address]] = {}
_looked_at = [0.0]


def _forget_old() -> None:
    """Drop what this process still holds of machines that changed or were removed elsewhere."""
    if not _addresses or time.monotonic() < _looked_at[0] + FORGET_EVERY:
        return
    _looked_at[0] = time.monotonic()
    kept = dict(Machine.objects.kept().values_list("pk", "changed_at"))
    for pk, (changed_at, _) in list(_addresses.items()):
        if kept.get(pk) != changed_at:
            forget(pk)


def forget(pk: int) -> None:
    """End this process's connection to a machine, and forget what opens it."""
    if known := _addresses.pop(pk, None):
        drop(known[1], _used())


def _used() -> set[Address]:
    return {address for _, address in _addresses.values()}


def retry_now(machine: Machine) -> None:
    """Somebody found that the machine answers: this process need not wait any longer."""
    if known := _addresses.get(machine.pk):
        connection_to(known[1]).retry_now()


def _address(pk: int) -> Address:
    machine, opened = Machine.objects.get(pk=pk), _opened(pk)
    given = {name: opened.get(name, "") for name in ("password", "private_key", "passphrase")}
    return Address(
        machine.host,
        Login(machine.user, **given),
        port=machine.port,
        host_key=machine.host_key,
        jump=_jump(machine, given, opened),
    )


def _jump(machine: Machine, given: dict[str, str], opened: dict[str, str]) -> Address | None:
    """The host before it, with secrets of its own or else the machine's."""
    if not machine.jump_host:
        return None
    own = {name: opened.get(f"jump_{name}", "") for name in given}
    login = Login(machine.jump_user or machine.user, **(own if any(own.values()) else given))
    return Address(machine.jump_host, login, port=machine.jump_port, host_key=machine.jump_host_key)


def _opened(pk: int) -> dict[str, str]:
    try:
        secrets = MachineSecret.objects.filter(machine=pk)
        return {secret.name: secret.value.open() for secret in secrets}
    except SecretError as error:
        raise RunnerError(str(error)) from None


def mark_reachable(machine: Machine) -> None:
    """The machine answered just now."""
    now = timezone.now()
    if _came_back(machine, now):
        log.info("%s answers again", machine)
        return
    old = Q(seen_at=None) | Q(seen_at__lt=now - SEEN_EVERY)
    Machine.objects.filter(old, pk=machine.pk).update(seen_at=now)


def _came_back(machine: Machine, now: datetime) -> bool:
    gone = Machine.objects.filter(pk=machine.pk, unreachable_since__isnull=False)
    since = gone.values_list("unreachable_since", flat=True).first()
    if since is None:
        return False
    with transaction.atomic():
        back = gone.update(unreachable_since=None, unreachable_reason="", seen_at=now)
        if back:
            words = f"It answers again. It did not for {(now - since).total_seconds():.0f} s."
            history.record_turn(machine, history.BACK, words)
    return bool(back)


def mark_unreachable(machine: Machine, error: Unreachable) -> None:
    """The machine does not answer: since when, first of all, and why now."""
    since = datetime.fromtimestamp(error.since, UTC) if error.since else timezone.now()
    found = Machine.objects.filter(pk=machine.pk)
    with transaction.atomic():
        new = found.filter(unreachable_since=None)
        went = new.update(unreachable_since=since, unreachable_reason=str(error))
        if went:
            history.record_turn(machine, _kind_of(error), str(error))
    if went:
        log.warning("%s: %s", machine, error)
        return
    known = found.values_list("unreachable_reason", flat=True).first()
    # While it backs off, an error is the last one with a further sentence: not written each time.
    same = known is not None and str(error).startswith(known)
    if known is not None and (not same or (error.waits_for_user and str(error) != known)):
        found.update(unreachable_reason=str(error))
        if _kind_of(error) == history.KEY_REFUSED:
            history.record_once(machine, history.KEY_REFUSED, str(error))


def _kind_of(error: Unreachable) -> str:
    """Another key at its address is told apart from no answer."""
    is_key = isinstance(error, HostKeyRefused)
    return history.KEY_REFUSED if is_key else history.UNREACHABLE


def record_sample(machine: Machine) -> MachineSample | None:
    """Measure the machine's load, keep it, and forget what is older than an hour.

    None where there is nothing to measure: it is removed, not confirmed or set up yet, or does
    not answer.
    """
    if machine.is_retired or machine.is_group or not machine.is_confirmed:
        return None  # a group's members are measured themselves
    try:
        data = _measured(machine)
    except Unreachable as error:
        mark_unreachable(machine, error)
        return None
    except RunnerError:
        mark_reachable(machine)  # it answered, though not with its load
        raise
    mark_reachable(machine)
    if data is None:
        return None
    sample = MachineSample(machine=machine, at=timezone.now(), data=data)
    sample.save()
    machine.samples.filter(at__lt=sample.at - KEEP_SAMPLES).delete()
    return sample


def _measured(machine: Machine) -> dict[str, Any] | None:
    """Its load; None where what measures is not set up yet, though the machine answers."""
    runner = runner_for(machine)
    if machine.python:
        return runner.sample()
    runner.now()
    return None


def load_of(machine: Machine, points: int = 60) -> dict[str, Any]:
    """The last sample and recent CPU use.

    ``sample`` is None when the last is older than half a minute; that one is then ``last``.
    """
    recent = list(machine.samples.all()[:points])
    fresh = recent and timezone.now() - recent[0].at < timedelta(seconds=30)
    return {
        "machine": machine,
        "sample": recent[0].shown if fresh else None,
        "last": recent[0].shown if recent and not fresh else None,
        "cpu_history": [sample.data["cpu_percent"] for sample in reversed(recent)],
    }
