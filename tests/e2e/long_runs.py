"""Run by ``manage.py shell`` in the site's home: runs with many points, and with many figures.

Prints their ids as JSON.
"""

import json
import math
import sys
import time
from pathlib import Path

import numpy as np
from django.contrib.auth.models import User
from django.utils import timezone

from compute.machines.local import local_machine
from jobs.models import Job, Status
from monitoring.series.frame import frame_of
from monitoring.store import points

STEPS = 5000
NAMES = 700


def make(name: str) -> Job:
    """A job that looks like one in training, without a process."""
    job = Job.objects.create(
        name=name, kind="sft", recipe="sample-sft", status=Status.RUNNING, steps=STEPS,
        spec={"values": {"device": "cpu"}, "overrides": []}, machine=local_machine(),
        owner=User.objects.get(username="admin"), started_at=timezone.now(),
    )  # fmt: skip
    Path(job.run_dir).mkdir(parents=True)
    Path(job.run_dir, "heartbeat").write_text(str(time.time()))
    return job


def main() -> None:
    long, wide = make("a long run"), make("a run of many figures")
    steps = np.arange(1, STEPS + 1)
    loss = np.sin(steps / 50.0)
    loss[3210], loss[1234] = 9.0, math.nan
    values = np.stack([loss, loss], axis=1)
    points.append(long, [frame_of(("train/loss", "bench/value"), steps, values)])
    names = (*(f"layer/norm_{n}" for n in range(NAMES)), "train/loss")
    points.append(wide, [frame_of(names, np.arange(1, 3), np.ones((2, len(names))))])
    made = {"long": long.pk, "wide": wide.pk, "dirs": [long.run_dir, wide.run_dir]}
    sys.stdout.write(json.dumps(made) + "\n")


main()
