"""Measure each phase of a run: its seconds, and in the training process the peak of GPU memory.

Only for a run that asks for it, as a dry-fire does, by a file `phases.jsonl` in its directory. Each
line there is the begin or the end of a phase: of the whole run by its driver, of one GPU by its
worker.
"""

import functools
import inspect
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from types import ModuleType
from typing import Any

from trainyard_node.attempt import Lines
from trainyard_node.hooks import card, shape
from trainyard_node.imports import when_imported
from trainyard_node.record import RUN_DIR

FILE = "phases.jsonl"
FOLDER = "dryfire"  # of the run directory: what Ray starts elsewhere knows no more than that
BEGAN, ENDED, FAILED = "began", "ended", "failed"
CANNOT = "does not measure the phases of a step"
# verl's names of the phases that its RL trainers time.
TIMED = {
    "gen": "rollout", "old_log_prob": "log_prob", "ref": "ref", "values": "values",
    "update_critic": "critic", "update_actor": "update", "update_weights": "weight_sync",
    "save_checkpoint": "save", "testing": "validation",
}  # fmt: skip
_V1 = "verl.trainer.ppo.v1.trainer_"
DRIVERS = (
    f"{_V1}base", f"{_V1}sync", f"{_V1}colocate_async", f"{_V1}separate_async",
    "verl.trainer.ppo.ray_trainer",
)  # fmt: skip
WORKERS = "verl.workers.engine_workers"
SAVER = "verl.utils.checkpoint.checkpoint_handler"
OF_ACTOR = {
    "compute_log_prob": "log_prob", "compute_ref_log_prob": "ref", "update_actor": "update",
    "update_weights": "weight_sync", "save_checkpoint": "save",
}  # fmt: skip
OF_CRITIC = {"infer_batch": "values", "train_mini_batch": "critic", "save_checkpoint": "save"}
# SFT and DPO, whose trainer is the worker.
OF_MODEL = {"infer_batch": "validation", "train_batch": "update"}
Method = Callable[..., Any]


def install() -> None:
    """Hook into verl once its modules are imported, if the run asks for it."""
    path = file_of_run()
    if path is None:
        return
    record = Record(path)
    for name in DRIVERS:
        when_imported(name, functools.partial(attach_to_driver, record))
    when_imported(WORKERS, functools.partial(attach_to_workers, record))
    when_imported(SAVER, functools.partial(attach_to_saver, record))


def file_of_run() -> Path | None:
    """The file to write to, where the run asks for it."""
    directory = os.environ.get(RUN_DIR)
    places = (Path(directory) / FILE, Path(directory) / FOLDER / FILE) if directory else ()
    return next((path for path in places if path.is_file()), None)


class Record:
    """The lines of one process. Of phases that lie in each other the outermost counts."""

    def __init__(self, path: Path) -> None:
        self._lines = Lines(path)
        self._is_inside = False

    @contextmanager
    def phase(self, name: str, *, by_worker: bool) -> Iterator[None]:
        if self._is_inside:
            yield
            return
        self._is_inside = True
        began = time.perf_counter()
        if by_worker:
            with suppress(Exception):  # of a GPU that broke: its own error is to be told
                card.reset()
        self._write(name, BEGAN, by_worker)
        state, more = FAILED, {}
        try:
            yield
            state = ENDED
        except Exception as error:
            more = {"error": f"{type(error).__name__}: {error}"[:500]}
            raise
        finally:
            self._is_inside = False
            found: Mapping[str, Any] = {}
            with suppress(Exception):
                found = card.peak() if by_worker else {}
            seconds = time.perf_counter() - began
            self._write(name, state, by_worker, seconds=seconds, **found, **more)

    def _write(self, name: str, state: str, by_worker: bool, **more: Any) -> None:
        line = {"phase": name, "state": state, "by_worker": by_worker, "pid": os.getpid()}
        self._lines.append({**line, **more})


def attach_to_driver(record: Record, module: ModuleType) -> bool:
    return shape.attached(lambda: _attach_to_driver(record, module), CANNOT)


def _attach_to_driver(record: Record, module: Any) -> None:
    original = module.marked_timer
    if hasattr(original, "__measures__"):
        return

    @contextmanager
    def marked_timer(name: str, *args: Any, **kwargs: Any) -> Iterator[Any]:
        phase = TIMED.get(name)
        outer = record.phase(phase, by_worker=False) if phase else nullcontext()
        with outer, original(name, *args, **kwargs) as found:
            yield found

    marked_timer.__measures__ = True  # type: ignore[attr-defined]
    module.marked_timer = marked_timer


def attach_to_workers(record: Record, module: ModuleType) -> bool:
    return shape.attached(lambda: _attach_to_workers(record, module), CANNOT)


def _attach_to_workers(record: Record, module: Any) -> None:
    for name, phase in OF_ACTOR.items():
        _wrap(record, module.ActorRolloutRefWorker, name, _always(phase))
    for name in dict.fromkeys((*OF_CRITIC, *OF_MODEL)):
        _wrap(record, module.TrainingWorker, name, functools.partial(_of_engine, name))


def attach_to_saver(record: Record, module: ModuleType) -> bool:
    """What SFT and DPO save with."""
    handler: Any = module.CheckpointHandler
    return shape.attached(
        lambda: _wrap(record, handler, "save_checkpoint", _always("save")), CANNOT
    )


def _always(phase: str) -> Method:
    return lambda *_, **__: phase


def _of_engine(name: str, worker: Any, data: Any = None, **_: Any) -> str:
    """The phase that a call of verl's engine is, where no actor called it."""
    if getattr(worker.config, "model_type", "") == "value_model":
        return OF_CRITIC.get(name, "critic")
    has_loss = getattr(data, "get", lambda *_: True)("compute_loss", True)
    if name == "infer_batch" and not getattr(has_loss, "data", has_loss):
        return "ref"  # DPO's reference, before its first step
    return OF_MODEL.get(name, "update")


def _wrap(record: Record, owner: Any, name: str, phase_of: Method) -> None:
    original = getattr(owner, name)
    if hasattr(original, "__measures__"):
        return

    @functools.wraps(original)
    def measured(self: Any, *args: Any, **kwargs: Any) -> Any:
        with record.phase(phase_of(self, *args[:1], **kwargs), by_worker=True):
            return original(self, *args, **kwargs)

    @functools.wraps(original)
    async def awaited(self: Any, *args: Any, **kwargs: Any) -> Any:
        with record.phase(phase_of(self, *args[:1], **kwargs), by_worker=True):
            return await original(self, *args, **kwargs)

    made: Any = awaited if inspect.iscoroutinefunction(original) else measured
    made.__measures__ = True
    setattr(owner, name, made)
