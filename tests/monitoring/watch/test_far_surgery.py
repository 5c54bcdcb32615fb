"""A real merge on a machine behind SSH and on a Ray cluster, where the models lie."""

import struct
import threading
from pathlib import Path

import pytest
from django.contrib.auth.models import User

from compute.models import Machine
from jobs.files.parents import saved_model
from jobs.launch import start
from jobs.models import Job, Status
from monitoring.watch.watching_machine import MachineWatcher
from surgery.compose import services
from tests.waiting import eventually

pytestmark = pytest.mark.usefixtures("queue")
WITHIN = 120  # seconds, on a machine under load


def model(folder: Path, value: float) -> Path:
    """A model of one tensor of four numbers."""
    folder.mkdir()
    config = '{"model_type": "qwen2", "num_hidden_layers": 1, "hidden_size": 4, "vocab_size": 8}'
    folder.joinpath("config.json").write_text(config)
    head = b'{"model.norm.weight": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}'
    numbers = struct.pack("<4f", *[value] * 4)
    size = len(head).to_bytes(8, "little")
    folder.joinpath("model.safetensors").write_bytes(size + head + numbers)
    return folder


def test_models_are_merged_behind_ssh(user: User, behind_ssh: Machine, tmp_path: Path) -> None:
    check_a_merge(user, behind_ssh, tmp_path)


def test_models_are_merged_on_a_ray_cluster(user: User, on_ray: Machine, tmp_path: Path) -> None:
    check_a_merge(user, on_ray, tmp_path)


def check_a_merge(user: User, machine: Machine, tmp_path: Path) -> None:
    one, other = model(tmp_path / "one", 1.0), model(tmp_path / "other", 3.0)
    models = f"[{{model: {one}}}, {{model: {other}}}]"
    text = f"merge_method: linear\nmodels: {models}\nparameters: {{weight: 1}}\n"
    job = services.merge(text, machine, user)
    claimed = start.claim_next(machine.pk)
    assert claimed == job
    start.launch(claimed)

    def is_over() -> bool:
        MachineWatcher(machine).turn(threading.Event())
        job.refresh_from_db()
        return job.is_over

    eventually(is_over, WITHIN, "the end of the merge")
    assert job.status == Status.COMPLETED, job.reason
    assert job.reason.startswith("The model is made: 1 tensors")
    made = job.artifacts.get()
    assert (made.is_whole, len(made.digest)) == (True, 64)
    assert made.places.get().machine == machine
    written = Path(job.run_dir, "model/model.safetensors").read_bytes()
    assert struct.unpack("<4f", written[-16:]) == (2.0,) * 4
    assert saved_model(job) == f"{job.run_dir}/model"  # as the job after it finds it
    said = Job.objects.get(pk=job.pk).events.said(1)["made"]["inputs"]
    assert set(said) == {str(one), str(other)}
