"""How a job lies on the nodes that the last check of its machine found."""

import pytest

from compute.machines.devices import devices_of
from compute.models import Machine
from jobs.launch import command
from jobs.process import Spread
from jobs.queue import claims
from jobs.queue.spreading import misspread, spread_of
from tests.factories import grpo_spec, make_job, make_machine, sft_spec

pytestmark = pytest.mark.django_db
CLUSTERS = [Machine.Kind.RAY]


def cluster(kind: Machine.Kind, *gpus: int) -> Machine:
    nodes = [{"name": f"node-{n}", "cpus": 8, "gpus": count} for n, count in enumerate(gpus)]
    return make_machine(kind=kind, python="/venv/bin/python", facts={"nodes": nodes})


@pytest.mark.parametrize("kind", CLUSTERS)
def test_the_command_of_a_job_takes_what_the_cluster_has(kind: Machine.Kind) -> None:
    spec = grpo_spec(device="cuda", gpus=4)
    job = make_job(machine=cluster(kind, 2, 2), kind="grpo", spec=spec.to_json(), gpus=4)
    argv = command.command_of(job).argv
    assert "trainer.nnodes=2" in argv
    assert "trainer.n_gpus_per_node=2" in argv
    devices = devices_of(job.machine)
    assert devices is not None
    assert (devices.indices, devices.per_node) == (frozenset(range(4)), [2, 2])


def test_a_single_machine_is_no_cluster() -> None:
    assert spread_of(make_machine(), grpo_spec()) is None


def test_nodes_that_are_not_known_or_not_enough_are_said() -> None:
    spec = grpo_spec(device="cuda", gpus=3)
    assert "are not known yet" in misspread(cluster(Machine.Kind.RAY), spec)
    machine = cluster(Machine.Kind.RAY, 2, 2)
    assert "cannot be taken evenly" in misspread(machine, spec)
    assert claims.misfit(machine, spec) == misspread(machine, spec)


def test_ranks_on_the_cpu_need_no_device_of_ray() -> None:
    machine = cluster(Machine.Kind.RAY, 0)
    assert spread_of(machine, sft_spec(gpus=2)) == Spread(1, 2)
    assert "cannot be taken evenly" in misspread(machine, grpo_spec(gpus=2))


@pytest.mark.parametrize("python", ["/my runs/bin/python", "/it's/python", "/$(reboot)/python"])
def test_a_python_that_ray_starts_no_workers_by_is_said_before_a_run(python: str) -> None:
    machine = make_machine(python=python)
    assert "Ray cannot start its workers by a Python whose path has spaces" in misspread(
        machine, grpo_spec()
    )
    assert claims.misfit(machine, grpo_spec()) == misspread(machine, grpo_spec())
    assert misspread(machine, sft_spec()) == ""
    assert misspread(make_machine(python="/opt/größe-1/bin/python3.11"), grpo_spec()) == ""
