"""The sample model, data sets and runs that the first start makes."""

import subprocess
import uuid as uuids
from pathlib import Path

from django.conf import settings
from django.contrib.auth.models import User

from datasets import services as datasets
from datasets.models import Dataset
from jobs.launch import submit
from jobs.models import Job
from jobs.order.forms import JobForm, form_data
from jobs.places import places
from jobs.verl.recipes import all_recipes
from platform_site.bounded.environment import passed_on

MADE_WITHIN = 600  # seconds, on a slow machine
SETS = {
    "sample arithmetic, SFT": "sft",
    "sample arithmetic, RL": "rl",
    "sample arithmetic, DPO": "dpo",
}
# Each sample run has a fixed id, so a second start cannot submit it twice.
NAMESPACE = uuids.UUID("5b1f3a52-7f5e-4d5c-9a3e-0d3f6f0f7a11")


class SampleError(Exception):
    """The samples could not be made. The message is a sentence for the user."""


def make_samples() -> Path:
    """Make the sample files that are missing, and register the data sets."""
    folder = Path(places()["samples"])
    known = Dataset.objects.filter(name__in=SETS, is_sample=True).count() == len(SETS)
    there = ("model-warm/config.json", "dpo/train.parquet")  # the last file of each version
    if known and all((folder / name).is_file() for name in there):
        return folder
    _make_files(folder)
    for name, target in SETS.items():
        train, val = (str(folder / target / f"{part}.parquet") for part in ("train", "val"))
        datasets.register(name, target, train, val, is_sample=True)
    return folder


def _make_files(folder: Path) -> None:
    python = str(settings.TRAINYARD_TRAIN_PYTHON)
    argv = [python, "-m", "trainyard_node.samples", str(folder)]
    try:
        # Run outside the checkout: its package `datasets` would hide the library of that name.
        subprocess.run(
            argv, check=True, capture_output=True, text=True, timeout=MADE_WITHIN,
            cwd=folder.parent, env=passed_on(),
        )  # fmt: skip
    except FileNotFoundError:
        raise SampleError(
            f"There is no training environment at {python}: run make install."
        ) from None
    except subprocess.CalledProcessError as error:
        last = (error.stderr or "").strip().splitlines()[-1:]
        raise SampleError(f"The samples could not be made: {' '.join(last)}") from None
    except subprocess.TimeoutExpired:
        raise SampleError(f"The samples were not made within {MADE_WITHIN} s.") from None


def submit_sample_runs(owner: User) -> list[Job]:
    """Submit an SFT run and a GRPO run that starts after it, each at most once."""
    first = _submit("sample-sft", owner, None)
    return [first, _submit("sample-grpo", owner, first)]


def _submit(slug: str, owner: User, after: Job | None) -> Job:
    data = form_data(all_recipes()[slug], "", [])
    data |= {"uuid": uuids.uuid5(NAMESPACE, slug), "after": after.pk if after else ""}
    form = JobForm(all_recipes()[slug], owner, data)
    if not form.is_valid():
        raise SampleError(f"{slug}: {form.errors.as_text()}")
    return submit.submit(form.order(), start=True)
