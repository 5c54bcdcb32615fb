"""Objects for tests. Each has valid defaults; a test sets only the values that it checks."""

import itertools
import json
import math
import uuid as uuids
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from django.conf import settings
from django.contrib.auth.models import User

from compute.machines.local import local_machine
from compute.models import Machine
from datasets.models import Dataset, Version
from jobs.artifacts import keeping
from jobs.artifacts.keeping import Found
from jobs.launch.submit import Order
from jobs.models import Job, Outcome, Status
from jobs.verl.checkpoints import Checkpoint
from jobs.verl.spec import LATEST, TrainSpec
from monitoring.series.frame import frame_of
from monitoring.store import points
from platform_site.work.models import State

numbers = itertools.count(1)

SFT_VALUES: dict[str, Any] = {
    "train_files": "/data/train.parquet",
    "val_files": "/data/val.parquet",
    "train_batch_size": 64,
    "max_length": 64,
    "model_path": "/models/tiny",
    "lr": 0.001,
    "micro_batch_size": 32,
    "epochs": 2,
    "device": "cpu",
    "gpus": 1,
}
GRPO_VALUES: dict[str, Any] = {
    "train_files": "/data/train.parquet",
    "val_files": "/data/val.parquet",
    "train_batch_size": 32,
    "max_prompt_length": 32,
    "max_response_length": 8,
    "model_path": "/models/tiny",
    "lr": 0.0005,
    "mini_batch_size": 32,
    "micro_batch_size": 64,
    "log_prob_micro_batch_size": 128,
    "rollout_n": 8,
    "engine": "hf",
    "tensor_parallel": 1,
    "epochs": 4,
    "device": "cpu",
    "gpus": 1,
}

DPO_VALUES: dict[str, Any] = SFT_VALUES | {"dpo_loss": "sigmoid", "beta": 0.1}
GSPO_VALUES: dict[str, Any] = GRPO_VALUES
PPO_VALUES: dict[str, Any] = GRPO_VALUES | {"critic_lr": 1e-3}
VALUES: dict[str, dict[str, Any]] = {
    "sft": SFT_VALUES,
    "dpo": DPO_VALUES,
    "ppo": PPO_VALUES,
    "grpo": GRPO_VALUES,
    "gspo": GSPO_VALUES,
}


def make_user(name: str = "", **fields: Any) -> User:
    """A user who logs in by ``force_login`` only, since hashing a password is slow."""
    return User.objects.create(username=name or f"user{next(numbers)}", **fields)


def sft_spec(*overrides: str, **values: Any) -> TrainSpec:
    return TrainSpec("sft", SFT_VALUES | values, overrides)


def grpo_spec(*overrides: str, **values: Any) -> TrainSpec:
    return TrainSpec("grpo", GRPO_VALUES | values, overrides)


def spec_of(kind: str, *overrides: str, verl: str = LATEST, **values: Any) -> TrainSpec:
    return TrainSpec(kind, VALUES[kind] | values, overrides, verl)


def make_order(owner: User, **fields: Any) -> Order:
    given: dict[str, Any] = {
        "owner": owner,
        "name": "a run",
        "recipe": "sample-sft",
        "spec": sft_spec(),
        "steps": 3,
        "machine": fields.get("machine") or local_machine(),
        "uuid": uuids.uuid4(),
    }
    return Order(**given | fields)


def make_job(owner: User | None = None, **fields: Any) -> Job:
    given: dict[str, Any] = {
        "owner": owner or make_user(),
        "name": f"run {next(numbers)}",
        "kind": "sft",
        "recipe": "sample-sft",
        "spec": sft_spec().to_json(),
        "steps": 3,
        "machine": fields.get("machine") or local_machine(),
        "status": Status.DRAFT,
    }
    return Job.objects.create(**given | fields)


def make_draft_with_model(owner: User, home: Path) -> Job:
    """A draft of SFT on this machine's CPU, whose model is here."""
    spec = sft_spec(model_path=str(make_model_folder(home / "model")))
    return make_job(owner, name="sums", spec=spec.to_json())


def make_outcome(job: Job, **fields: Any) -> Outcome:
    """What a run needed, as if it had run on GPUs."""
    given: dict[str, Any] = {
        "gpu": "h100-80g",
        "gpus": 8,
        "family": "qwen2",
        "algorithm": job.kind,
        "question": {},
        "estimated_peak": 44 << 30,
        "measured_peak": 40 << 30,
        "estimated_peaks": {"update": 44 << 30},
        "estimated_seconds": 9.0,
        "measured_seconds": 10.0,
        "estimated_phases": {"update": 9.0},
        "measured_phases": {},
    }
    return Outcome.objects.create(job=job, **given | fields)


def make_machine(**fields: Any) -> Machine:
    given: dict[str, Any] = {
        "name": f"machine {next(numbers)}",
        "workdir": str(settings.TRAINYARD_HOME),
        "python": str(settings.TRAINYARD_TRAIN_PYTHON),
    }
    return Machine.objects.create(**given | fields)


def make_ssh_machine(**fields: Any) -> Machine:
    """A confirmed SSH machine, though no machine exists at its address."""
    given: dict[str, Any] = {
        "kind": Machine.Kind.SSH,
        "host": "192.0.2.7",  # an address of a block that is reserved for examples
        "user": "ada",
        "workdir": "~/trainyard",
        "python": "",
        "host_key": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA",
        "fingerprint": "SHA256:confirmed",
    }
    return make_machine(**given | fields)


def make_group(*members: Machine) -> Machine:
    group = make_machine(kind=Machine.Kind.GROUP, name="together")
    for place, machine in enumerate(members):
        group.memberships.create(machine=machine, place=place)
    return group


def make_dataset(**fields: Any) -> Dataset:
    return Dataset.objects.create(**{"name": f"set {next(numbers)}"} | fields)


def make_version(
    train: Path | str = "/nowhere.parquet", dataset: Dataset | None = None, **fields: Any
) -> Version:
    """A ready version, whose files need not exist."""
    dataset = dataset or make_dataset()
    given: dict[str, Any] = {
        "number": dataset.versions.count() + 1,
        "target": "sft",
        "state": State.DONE,
        "train_file": str(train),
        "val_file": str(train),
        "rows_train": 2,
        "rows_val": 2,
    }
    return Version.objects.create(dataset=dataset, **given | fields)


def keep_checkpoints(
    job: Job, sizes: dict[int, int], latest: int = 0, has_hf: bool = False
) -> None:
    """Rows of checkpoints by step, as a listing of the job's machine would make them."""
    found = []
    for step, size in sizes.items():
        path, at = f"checkpoints/global_step_{step}", datetime(2026, 1, 1, tzinfo=UTC)
        facts = Checkpoint(step, path, size, at, has_hf, step <= (latest or max(sizes)))
        found.append(Found(job.attempt, f"{job.run_dir}/{path}", facts))
    keeping.keep_checkpoints(job, found)


def write_lines(path: Path, rows: list[Any]) -> Path:
    """Write rows as JSON lines; a text is written as it is, for broken lines."""
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return path


def write_run_file(job: Job, name: str, content: str | bytes) -> Path:
    """Write a file to the job's run directory, as its wrapper or trainer would."""
    path = Path(job.run_dir, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def append_run_file(job: Job, name: str, content: str | bytes) -> None:
    with Path(job.run_dir, name).open("ab") as file:
        file.write(content if isinstance(content, bytes) else content.encode())


def metrics_line(step: int, **data: float) -> str:
    named = {name.replace("__", "/"): value for name, value in data.items()}
    return json.dumps({"step": step, "data": named or {"train/loss": 1 / max(1, step)}}) + "\n"


def points_of(job: Job) -> dict[tuple[str, int], float]:
    """All points that the store has of a job, by name and step."""
    found = points.window(job, points.all_names(job))
    return {
        (name, step): value
        for name, window in found.items()
        for step, value in zip(
            window.column.steps.tolist(), window.column.values.tolist(), strict=True
        )
    }


def add_points(job: Job, name: str, values: dict[int, float]) -> None:
    """Append points of one series."""
    steps, column = np.array(list(values), np.int64), np.array(list(values.values()), np.float64)
    points.append(job, [frame_of((name,), steps, column[:, None])])


def make_model_folder(path: Path, context: int | None = 512) -> Path:
    """A folder that looks like a model; its weights are one small tensor."""
    path.mkdir(parents=True, exist_ok=True)
    config: dict[str, Any] = {
        "model_type": "qwen2",
        "architectures": ["Qwen2ForCausalLM"],
        "tie_word_embeddings": True,
    }
    if context:
        config["max_position_embeddings"] = context
    (path / "config.json").write_text(json.dumps(config))
    (path / "model.safetensors").write_bytes(safetensors({"model.norm.weight": [4]}))
    (path / "tokenizer.json").write_text("{}")
    return path


def safetensors(shapes: dict[str, list[int]], data: bytes | None = None) -> bytes:
    """A file of 8-bit tensors. Without ``data`` they are zeros; with it, there is one more."""
    tensors, at = {}, 0
    sizes = [(name, shape, math.prod(shape)) for name, shape in shapes.items()]
    filled = bytes(sum(size for _, _, size in sizes)) + (data or b"")
    if data is not None:
        sizes.append(("data", [len(data)], len(data)))
    for name, shape, size in sizes:
        tensors[name] = {"dtype": "U8", "shape": shape, "data_offsets": [at, at + size]}
        at += size
    header = json.dumps(tensors).encode()
    return len(header).to_bytes(8, "little") + header + filled


def write_sft_rows(path: Path, rows: int) -> Path:
    talk = [{"role": "user", "content": "1+1=?"}, {"role": "assistant", "content": "2"}]
    return write_table(path, {"messages": [talk] * rows})


def write_rl_rows(path: Path, rows: int) -> Path:
    columns: dict[str, list[Any]] = {
        "data_source": ["trainyard/arithmetic"] * rows,
        "prompt": [[{"role": "user", "content": "1+1=?"}]] * rows,
        "reward_model": [{"style": "rule", "ground_truth": "2"}] * rows,
    }
    return write_table(path, columns)


def write_pairs(path: Path, rows: int) -> Path:
    asked = [{"role": "user", "content": "1+1=?"}]
    said = [[{"role": "assistant", "content": text}] for text in "23"]
    columns = {"prompt": [asked] * rows, "chosen": [said[0]] * rows, "rejected": [said[1]] * rows}
    return write_table(path, columns)


def write_table(path: Path, columns: dict[str, list[Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)
    return path


def make_samples(home: Path) -> Path:
    """Write files at the places and with the sizes that the sample recipes expect."""
    samples = home / "samples"
    for name in ("model", "model-warm"):
        make_model_folder(samples / name)
    for part, rows in (("train", 2048), ("val", 64)):
        write_sft_rows(samples / f"sft/{part}.parquet", rows)
        write_rl_rows(samples / f"rl/{part}.parquet", rows)
        write_pairs(samples / f"dpo/{part}.parquet", rows)
    return samples
