"""Count the answers that verl's V1 trainer drops, say so, and stop where too many are lost.

An answer whose reward or agent loop raised is dropped, and its place in the batch is padded. Only
the worker knows why, and only the driver knows what is trained on: the worker puts the reason into
the tag of the prompt, and the driver reads it when it takes the batch. An asynchronous trainer, and
one that refills, throw the whole group away instead and ask for another: these are counted as they
go, since a run whose answers all fail would ask for ever.
"""

import functools
import os
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from trainyard_node.attempt import Attempt, Lines, record_event
from trainyard_node.hooks import shape
from trainyard_node.record import RUN_DIR

WORKER = "verl.trainer.ppo.v1.agent_loop_tq"
DRIVER = "verl.trainer.ppo.v1.replay_buffer"
TAG = "trainyard_told"
LOST = "_trainyard_lost"
EVICTED = "_trainyard_evicted"
SIZE = "_trainyard_batch_size"
TOTAL = "_trainyard_total"
METRIC = "training/answers_lost"
LIMIT = "trainyard_most_lost"  # among the sampler's own arguments
MOST = 0.5  # of a step's answers, where there is no limit of the user's
LONGEST = 300
_told: ContextVar[dict[str, Any] | None] = ContextVar("told", default=None)
Method = Callable[..., Any]


class TooManyLost(RuntimeError):
    """More of a step's answers failed than may."""


@dataclass(frozen=True)
class Lost:
    """So many `of` a step's answers, and the first exception in a line."""

    count: int
    of: int
    first: str

    def __str__(self) -> str:
        because = f" The first: {self.first}" if self.first else ""
        return f"{self.count} of {self.of} answers failed.{because}"

    def __add__(self, more: "Lost") -> "Lost":
        return Lost(self.count + more.count, self.of + more.of, self.first or more.first)


NONE = Lost(0, 0, "")


def attach_to_worker(module: ModuleType) -> bool:
    """Tell the driver why answers failed. If verl differs, return False and log a line."""
    return shape.attached(lambda: _attach_to_worker(module), "does not say why answers fail")


def attach_to_driver(module: ModuleType) -> bool:
    """Count what is lost of each batch. If verl differs, return False and log a line."""
    return shape.attached(lambda: _attach_to_driver(module), "does not count answers that fail")


def _attach_to_worker(module: Any) -> None:
    settle, put = module._settle_session_tasks, module.tq.async_kv_put
    shape.check(settle, ("tasks",))
    if hasattr(put, "__tells__"):
        return

    @functools.wraps(settle)
    async def settle_session_tasks(tasks: list[Any]) -> Any:
        errors = await settle(tasks)
        _told.set({"asked": len(tasks), "first": _in_a_line(errors[0]) if errors else ""})
        return errors

    @functools.wraps(put)
    async def async_kv_put(*args: Any, tag: Any = None, **kwargs: Any) -> Any:
        told = _told.get()
        if told and tag and tag.get("status") in ("finished", "failure"):
            tag = {**tag, TAG: told}
        return await put(*args, tag=tag, **kwargs)

    async_kv_put.__tells__ = True  # type: ignore[attr-defined]
    module._settle_session_tasks, module.tq.async_kv_put = settle_session_tasks, async_kv_put


def _in_a_line(error: BaseException) -> str:
    """What was raised in the end: Ray wraps what came from another process."""
    cause = getattr(error, "cause", None) or error
    said = str(cause).strip().partition("\n")[0]
    return f"{type(cause).__name__}: {said}"[:LONGEST] if said else type(cause).__name__


def _attach_to_driver(module: Any) -> None:
    buffer = module.ReplayBuffer
    if hasattr(buffer, LOST):
        return
    shape.check(
        buffer._select_prompt_uids, ("self", "partition_id", "sampleable_keys", "batch_size")
    )
    shape.check(buffer._evict_terminal_groups, EVICT, ("_clear_groups",))
    asynchronous = module.ReplayBufferAsync
    for sampling in (buffer, asynchronous):
        shape.check(sampling.sample, ("self", "global_steps", "partition_id", "batch_size"))
    wait = asynchronous.wait_for_sampleable
    shape.check(wait, ("self", "global_steps", "partition_id", "target_count"))
    setattr(buffer, LOST, NONE)
    setattr(buffer, EVICTED, NONE)
    setattr(buffer, TOTAL, 0)
    setattr(buffer, SIZE, 0)
    buffer._select_prompt_uids = _selected(module, buffer._select_prompt_uids)
    buffer._evict_terminal_groups = _evicted(module, buffer._evict_terminal_groups)
    buffer.sample = _counted(buffer.sample)
    asynchronous.sample = _counted(asynchronous.sample)
    asynchronous.wait_for_sampleable = _awaited(wait)


SELECT = ("self", "partition_id", "sampleable_keys", "batch_size")
EVICT = ("self", "global_steps", "partition_id", "eviction_reasons")


def _selected(module: Any, select: Method) -> Method:
    @functools.wraps(select)
    def select_prompt_uids(self: Any, partition_id: str, *args: Any, **kwargs: Any) -> Any:
        chosen, snapshot, *rest = select(self, partition_id, *args, **kwargs)
        setattr(self, LOST, count(_tags(module, partition_id), chosen, snapshot))
        return chosen, snapshot, *rest

    return select_prompt_uids


def _evicted(module: Any, evict: Method) -> Method:
    @functools.wraps(evict)
    def evict_terminal_groups(self: Any, step: int, partition_id: str, reasons: Any) -> Any:
        failed = sorted(reasons[2])
        if failed:
            groups = count(_tags(module, partition_id), failed, self.partitions[partition_id])
            found = getattr(self, EVICTED) + groups
            setattr(self, EVICTED, found)
            # The batch that is waited for may still get all the answers that it wants.
            wanted = found.of + getattr(self, SIZE) * groups.of / len(failed)
            if found.count > _most(self) * wanted:
                _answer_for(self, step, is_trained=True)
        return evict(self, step, partition_id, reasons)

    return evict_terminal_groups


def _tags(module: Any, partition_id: str) -> Mapping[str, Mapping[str, Any]]:
    tags: Mapping[str, Mapping[str, Any]] = module.tq.kv_list(partition_id=partition_id) or {}
    return tags.get(partition_id) or {}


def _awaited(wait: Method) -> Method:
    @functools.wraps(wait)
    def awaited(self: Any, global_steps: int, partition_id: str, target_count: int) -> Any:
        setattr(self, SIZE, target_count)
        return wait(self, global_steps, partition_id, target_count)

    return awaited


def _counted(sample: Method) -> Method:
    @functools.wraps(sample)
    def counted(self: Any, global_steps: int, partition_id: str, batch_size: int) -> Any:
        setattr(self, SIZE, batch_size)
        is_trained = partition_id != "val"
        try:
            batch, metrics = sample(self, global_steps, partition_id, batch_size)
        except TooManyLost:
            raise
        except RuntimeError as error:  # none is left
            _answer_for(self, global_steps, is_trained, error)
            raise
        lost = _answer_for(self, global_steps, is_trained)
        return batch, {**metrics, METRIC: lost} if lost and is_trained else metrics

    return counted


def _most(buffer: Any) -> float:
    return float((buffer.sampler_kwargs or {}).get(LIMIT, MOST))


def _answer_for(
    buffer: Any, step: int, is_trained: bool, error: BaseException | None = None
) -> int:
    """Report what is lost of a step. Raises TooManyLost."""
    lost: Lost = getattr(buffer, LOST)
    setattr(buffer, LOST, NONE)
    if is_trained:
        lost += getattr(buffer, EVICTED)
        setattr(buffer, EVICTED, NONE)
        setattr(buffer, TOTAL, getattr(buffer, TOTAL) + lost.count)
    if not lost.count:
        return 0
    _report(lost, step, is_trained, getattr(buffer, TOTAL))
    most = _most(buffer)
    if is_trained and lost.count > most * lost.of:
        raise TooManyLost(f"Step {step}: {lost} (at most {most:.0%} may fail)") from error
    return lost.count


def _report(lost: Lost, step: int, is_trained: bool, total: int) -> None:
    directory = os.environ.get(RUN_DIR)
    if not directory:
        return
    where = f"Step {step}" if is_trained else f"Validation after step {step}"
    record_event(
        Lines(Attempt.at(Path(directory)).events),
        "answers_lost" if is_trained else "validation_lost",
        f"{where}: {lost}",
        step=step, lost=lost.count, of=lost.of, total=total, first=lost.first,
    )  # fmt: skip


def count(
    tags: Mapping[str, Mapping[str, Any]], chosen: Sequence[str], keys: Collection[str]
) -> Lost:
    """What is lost of the `chosen` prompts. A key is `{prompt}_{session}_{output}`; a prompt whose
    worker could not say how many answers it wanted is taken to want as many as the others."""
    sessions: dict[str, set[str]] = defaultdict(set)
    for key in keys:
        prompt, session, *_ = key.split("_")
        sessions[prompt].add(session)
    told = {prompt: tags.get(prompt, {}).get(TAG) or {} for prompt in chosen}
    usual = max((each.get("asked", 0) for each in told.values()), default=0) or max(
        map(len, sessions.values()), default=1
    )
    wanted = {prompt: each.get("asked", usual) for prompt, each in told.items()}
    lost = sum(max(0, wanted[prompt] - len(sessions[prompt])) for prompt in chosen)
    first = next((each["first"] for each in told.values() if each.get("first")), "")
    return Lost(lost, sum(wanted.values()), first)
