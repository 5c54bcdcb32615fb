"""Machines: the one that is always there, its runner, and its load."""

from datetime import timedelta
from pathlib import Path
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
    machine, _ = Machine.objects.get_or_create(
        name=LOCAL_NAME,
        defaults={
            "kind": Machine.Kind.LOCAL,
            "workdir": str(settings.TRAINYARD_HOME),
            "python": str(settings.TRAINYARD_TRAIN_PYTHON),
        },
    )
    return machine


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


def allowed(path: str) -> Path | None:
    """The real path behind ``path`` when it lies in a folder that the settings allow, else None.

    Symbolic links and ``..`` are followed first, so they cannot lead outside.
    """
    try:
        real = Path(path).expanduser().resolve()
    except (OSError, RuntimeError, ValueError):
        return None
    inside = any(real.is_relative_to(root) for root in settings.TRAINYARD_PATHS)
    return real if inside else None
