"""Have verl's rate-limited reward manager fail where the reward failed, as its other managers do.

It makes a score of 0 out of an exception and of a time-out, and the run learns from it. As a
failure the answer is dropped, counted and told like any other (see ``lost``).
"""

import asyncio
import functools
from contextvars import ContextVar
from types import ModuleType
from typing import Any

from trainyard_node.hooks import shape

MODULE = "verl.experimental.reward_loop.reward_manager.limited"
_failed: ContextVar[list[Exception] | None] = ContextVar("failed", default=None)


def attach(module: ModuleType) -> bool:
    """Raise what the manager would turn into 0. If verl differs, return False and log a line."""
    return shape.attached(lambda: _attach(module), "scores 0 where a rate-limited reward fails")


def _attach(module: Any) -> None:
    manager = module.RateLimitedRewardManager
    compute, run = manager._compute_reward, manager.run_single
    shape.check(compute, ("self", "data_source", "solution_str", "ground_truth", "extra_info"))
    shape.check(run, ("self", "data"), ("_compute_reward", "timeout"))
    if hasattr(run, "__wrapped__"):
        return

    @functools.wraps(compute)
    async def compute_reward(self: Any, **kwargs: Any) -> Any:
        failed = _failed.get()
        try:
            found = await compute(self, **kwargs)
            if isinstance(found, dict):
                found["score"]  # the manager takes it next, and would hide that it is absent
        except asyncio.CancelledError:
            _keep(failed, TimeoutError(f"the reward took more than {self.timeout} s"))
            raise
        except Exception as error:
            _keep(failed, error)
            raise
        return found

    @functools.wraps(run)
    async def run_single(self: Any, data: Any) -> Any:
        failed: list[Exception] = []
        token = _failed.set(failed)
        try:
            found = await run(self, data)
        finally:
            _failed.reset(token)
        if failed:
            raise failed[0]
        return found

    manager._compute_reward, manager.run_single = compute_reward, run_single


def _keep(failed: list[Exception] | None, error: Exception) -> None:
    if failed is not None:
        failed.append(error)
