import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from jobs.models import Job
from jobs.provenance.keeping import keep, keep_start
from jobs.verl import schema
from jobs.verl.defaults import UNKNOWN, stands_for
from jobs.verl.releases import ENVIRONMENTS
from tests import factories

HOSTILE = "<script>alert(1)</script>"
SOFTWARE = {
    "python": "3.11.7", "executable": "/venv/bin/python", "system": "Linux-6",
    "node": {"version": "0.1.0", "digest": "ab" * 32}, "torch": {"cuda": "12.8"},
    "packages": {"torch": "2.9.0", "verl": "0.9.1", HOSTILE: HOSTILE},
    "commits": {"verl": "0123456789abcdef"},
}  # fmt: skip
HARDWARE = {
    "host": "gpu-7", "cpu": "EPYC", "cpus": 96, "memory": 2**40, "driver": "570.1", "cuda": "12.8",
    "gpus": [{"index": n, "uuid": f"GPU-{n}", "name": "NVIDIA H200", "memory": 140 * 2**30}
             for n in range(8)],
}  # fmt: skip


def resolved(**changed: Any) -> dict[str, Any]:
    """The configuration of SFT as verl resolves it; ``optim__lr=1`` changes optim.lr."""
    keys = schema.load(ENVIRONMENTS, "sft").keys
    config: dict[str, Any] = {}
    for interpolated in (False, True):  # what others follow comes first
        for key, known in keys.items():
            if ("${" in json.dumps(known["default"])) == interpolated:
                value = stands_for(known["default"], key, config)
                put(config, key, None if value is UNKNOWN else value)
    for name, value in changed.items():
        put(config, name.replace("__", "."), value)
    return config


def put(config: dict[str, Any], key: str, value: Any) -> None:
    *names, leaf = key.split(".")
    for name in names:
        config = config.setdefault(name, {})
    config[leaf] = value


def tell(job: Job, config: dict[str, Any], **software: Any) -> None:
    """As the watcher keeps what a run tells."""
    now = timezone.now()
    keep_start(job)
    keep(job, "software", now, SOFTWARE | software)
    keep(job, "hardware", now, HARDWARE)
    keep(job, "config", now, {"name": "sft_trainer_engine", "config": config})


@pytest.fixture
def told(user: User) -> Job:
    job = factories.make_job(user, name="a <run>", status="completed", recipe="sft")
    config = resolved(
        optim__lr=0.5,
        trainer__api_key="hide-me",
        mine=HOSTILE,
        **{HOSTILE: 1},
    )
    tell(job, config)
    return job
