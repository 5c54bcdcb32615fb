"""Load and call a reward function the way verl 0.9.1 does.

It is loaded as by `verl.utils.import_utils.load_extern_object`: the module is not in sys.modules
and its folder is not on sys.path. It is called as by verl's reward manager "naive": with keywords,
a plain function in a thread of an event loop (so signal.alarm fails there), an async function
awaited.
"""

import asyncio
import importlib.util
import inspect
import os
from collections.abc import Callable, Mapping
from typing import Any

Function = Callable[..., Any]
SINGLE_TURN = 2  # verl counts the user's turn and the answer


def load_function(path: str, name: str) -> Function:
    """Load the function `name` from the file `path`.

    Raises what the file raises, or FileNotFoundError, ImportError (no Python file), AttributeError
    (no such name), TypeError (not a function).
    """
    if not os.path.exists(path):
        raise FileNotFoundError(f"There is no file {path}.")
    spec = importlib.util.spec_from_file_location(f"custom_module_{hash(path)}", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is not a Python file: its name does not end in .py.")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not hasattr(module, name):
        known = [k for k, v in vars(module).items() if inspect.isfunction(v) and k[:1] != "_"]
        raise AttributeError(
            f"There is no {name} in {path}; its functions: {', '.join(known) or 'none'}."
        )
    function: Function = getattr(module, name)
    if not callable(function):
        raise TypeError(f"{name} is {type(function).__name__}, not a function.")
    return function


def builtin_function() -> Function:
    """verl's own scorers by data source. Importing verl takes seconds."""
    from verl.utils.reward_score import default_compute_score

    function: Function = default_compute_score
    return function


def signature_problem(function: Function, kwargs: Mapping[str, Any]) -> str:
    """The reason why verl's call does not fit the function's parameters, or an empty text."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return ""
    given = {"data_source": "", "solution_str": "", "ground_truth": "", "extra_info": {}, **kwargs}
    try:
        signature.bind(**given)
    except TypeError as error:
        called = ", ".join(f"{name}=…" for name in given)
        return f"It takes {signature}, and verl calls it with ({called}): {error}."
    return ""


def call(
    loop: asyncio.AbstractEventLoop,
    function: Function,
    row: Mapping[str, Any],
    kwargs: Mapping[str, Any],
) -> Any:
    """Call the function for one row; return its result. Raises what it raises, also SystemExit."""
    # The manager adds these two before each call.
    extra_info = {**(row.get("extra_info") or {}), "num_turns": SINGLE_TURN}
    given = {
        "data_source": row.get("data_source"),
        "solution_str": row.get("solution_str"),
        "ground_truth": row.get("ground_truth"),
        "extra_info": {**extra_info, "rollout_reward_scores": {}},
        **kwargs,
    }
    return loop.run_until_complete(_call(function, given))


async def _call(function: Function, given: dict[str, Any]) -> Any:
    if inspect.iscoroutinefunction(function):
        return await function(**given)
    return await asyncio.get_running_loop().run_in_executor(None, lambda: function(**given))
