"""Where the chain's jobs run, two machines with the real training environment, one of them behind
an sshd; and what they work on."""

import shlex
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from django.contrib.auth.models import User
from django.utils import timezone

from compute.machines.local import local_machine
from compute.models import Machine
from tests import factories
from tests.processes import ROOT
from tests.ray_cluster import PYTHON
from tests.samples import make_models
from tests.sshd import Sshd

NODE = ROOT / "environments/node"
# Each program of a job adds a line: the run, the attempt, the program.
LAUNCHER = """#!/bin/sh
case "$2" in
  trainyard_node.convert|trainyard_node.merge|trainyard_node.evaluating)
    here=$(pwd)
    echo "$(basename "$(dirname "$here")") $(basename "$here") $2" >> {starts} ;;
esac
PYTHONPATH={node} exec {python} "$@"
"""
ROWS = 8
RECIPE = """
name: Killed
steps:
- {{name: two, models: [{one}, {other}]}}
- {{name: small, convert: two, set: {{dtype: bfloat16}}}}
- name: mean
  machine: box
  merge: |
    merge_method: linear
    models: [{{model: {one}}}, {{model: {other}}}]
    parameters: {{weight: 1}}
- {{name: loss, evaluate: mean, set: {{way: loss, dataset: {data}}}}}
- {{name: good, gate: mean, from: loss, metric: eval/loss, at_most: 1000, after: small}}
- {{name: whole, convert: good, set: {{dtype: float16}}}}
"""
PARTS = {"two": 2, "small": 2, "mean": 1, "loss": 1, "good": 1, "whole": 1}
JOBS = {"small": 2, "mean": 1, "loss": 1, "whole": 1}


@dataclass(frozen=True)
class Ground:
    user: User
    here: Machine
    box: Machine
    sshd: Sshd
    recipe: str
    starts: Path

    def started(self) -> Counter[tuple[str, str]]:
        """How often the program of each attempt really started."""
        lines = self.starts.read_text().splitlines() if self.starts.exists() else []
        return Counter((line.split()[0], line.split()[1]) for line in lines)


def launcher(folder: Path) -> Path:
    """A ``Machine.python``: that of training, which notes each program that it starts."""
    folder.mkdir()
    path = folder / "python"
    values = {"starts": folder / "starts", "node": NODE, "python": PYTHON}
    path.write_text(LAUNCHER.format(**{k: shlex.quote(str(v)) for k, v in values.items()}))
    path.chmod(0o755)
    return path


def make_ground(user: User, sshd: Sshd, python: Path, folder: Path) -> Ground:
    """``folder`` is one that models may lie in. This machine's Python is the launcher already."""
    models = [str(folder / "one"), str(folder / "other")]
    make_models(models)
    data = factories.make_version(factories.write_sft_rows(folder / "rows.parquet", ROWS))
    data.dataset.name = "sums"
    data.dataset.save()
    address = sshd.address()
    box = factories.make_ssh_machine(
        name="box", host=address.host, port=address.port, user=address.login.user,
        host_key=address.host_key, workdir=str(folder / "box"), python=str(python),
    )  # fmt: skip
    secret = {"name": "private_key", "value": address.login.private_key, "set_at": timezone.now()}
    box.secrets.create(**secret)
    recipe = RECIPE.format(one=models[0], other=models[1], data=data)
    return Ground(user, local_machine(), box, sshd, recipe, python.with_name("starts"))
