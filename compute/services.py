"""Machines: the one that is always there, its runner, and its load."""

import subprocess
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.utils import timezone

from compute.models import Machine, MachineSample
from compute.runners.base import Runner
from compute.runners.local import LocalRunner

KEEP_SAMPLES = timedelta(hours=1)
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
    return LocalRunner(machine.python, machine.workdir)


def record_sample(machine: Machine) -> MachineSample:
    """Measure the machine's load, keep it, and forget what is older than an hour."""
    sample = MachineSample(machine=machine, at=timezone.now(), data=runner_for(machine).sample())
    sample.save()
    machine.samples.filter(at__lt=sample.at - KEEP_SAMPLES).delete()
    return sample


def load_of(machine: Machine, points: int = 60) -> dict[str, Any]:
    """The last sample (None when it is older than half a minute) and recent CPU use."""
    recent = list(machine.samples.all()[:points])
    fresh = recent and timezone.now() - recent[0].at < timedelta(seconds=30)
    return {
        "machine": machine,
        "sample": {"at": recent[0].at, **recent[0].data} if fresh else None,
        "cpu_history": [sample.data["cpu_percent"] for sample in reversed(recent)],
    }
