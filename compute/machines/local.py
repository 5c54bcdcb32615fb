"""The machine that Trainyard itself runs on."""

import subprocess

from django.conf import settings

from compute.models import Machine
from platform_site.bounded.environment import passed_on

LOCAL_NAME = "this machine"


def local_machine() -> Machine:
    """The machine that Trainyard itself runs on, made when it is first asked for."""
    machine, _ = Machine.objects.get_or_create(name=LOCAL_NAME, defaults=_local_facts())
    return machine


def apply_settings() -> None:
    """Take this machine's folder and Python from the settings. Done at each start."""
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
            [python, "-c", asked], capture_output=True, text=True, timeout=30, cwd="/",
            env=passed_on(), check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _local_facts() -> dict[str, str]:
    return {
        "kind": Machine.Kind.LOCAL,
        "workdir": str(settings.TRAINYARD_HOME),
        "python": str(settings.TRAINYARD_TRAIN_PYTHON),
    }
