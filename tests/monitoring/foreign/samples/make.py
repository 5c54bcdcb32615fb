"""Writes the sample files of this folder with the tools themselves: ``python make.py TOOL``.

``tensorboard`` and ``wandb`` run in the training environment, ``trackio`` and ``mlflow`` in one of
their own (trackio 0.43.0, mlflow-skinny 3.17.2 with sqlalchemy). Each writes the same run.
"""

import math
import os
import shutil
import sqlite3
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
STEPS = range(1, 6)
CONFIG = {"actor": {"lr": 1e-6}, "data.seed": 7}


def values(step: int) -> dict[str, float]:
    return {"critic/score/mean": step / 4, "actor/entropy": math.nan if step == 3 else 1 / step}


def tensorboard() -> None:
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(HERE / "tensorboard/a-run") as writer:
        for step in STEPS:
            for name, value in values(step).items():
                writer.add_scalar(name, value, step)
            writer.add_scalar("in a tensor", step * 2.0, step, new_style=True)
        writer.add_text("note", "no number", 1)


def wandb() -> None:
    made_in = HERE / "wandb-made"
    made_in.mkdir()
    os.environ |= {"WANDB_MODE": "offline", "WANDB_SILENT": "true", "WANDB_DIR": str(made_in)}
    import wandb as tool

    with tool.init(project="p", name="a-run", config=CONFIG) as run:
        for step in STEPS:
            run.log(values(step) | {"note": "no number"}, step=step)
        sys.stdout.write("a line of the log\n")
    (made,) = (made_in / "wandb").glob("offline-run-*")
    target = HERE / "wandb/offline-run"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    shutil.copy(next(made.glob("*.wandb")), target / "run.wandb")
    (target / "files").mkdir()
    shutil.copy(made / "files/output.log", target / "files/output.log")
    shutil.rmtree(made_in)


def trackio() -> None:
    os.environ |= {"TRACKIO_DIR": str(HERE / "trackio")}
    import trackio as tool

    tool.init(project="p", name="a-run", config=CONFIG, embed=False)
    for step in STEPS:
        tool.log(values(step), step=step)
    tool.finish()
    only(HERE / "trackio/p.db", "metrics", "configs")
    (HERE / "trackio/p.lock").unlink()


def mlflow() -> None:
    import mlflow as tool

    os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"
    for uri in (f"sqlite:///{HERE}/mlflow.db", f"file://{HERE}/mlruns"):
        tool.set_tracking_uri(uri)
        with tool.start_run(run_name="a-run"):
            tool.log_params({"lr": 1e-6})
            for step in STEPS:
                tool.log_metrics(values(step), step=step)
    only(HERE / "mlflow.db", "runs", "metrics", "params")


def only(database: Path, *tables: str) -> None:
    """Without the tables that are not read: a megabyte of nothing."""
    with sqlite3.connect(database, isolation_level=None) as db:
        db.execute("PRAGMA foreign_keys = OFF")
        found = db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for (name,) in found:
            if name not in tables and not name.startswith("sqlite_"):
                db.execute(f'DROP TABLE "{name}"')
        db.execute("VACUUM")


if __name__ == "__main__":
    globals()[sys.argv[1]]()
