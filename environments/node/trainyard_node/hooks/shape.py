"""Whether verl's code is what the hooks were written for."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from trainyard_node.control import say_once


class Different(Exception):
    """This verl is another one; the message says where."""


def check(function: Any, parameters: Sequence[str], uses: Sequence[str] = ()) -> None:
    """Raises Different unless `function` takes `parameters` and uses the attributes `uses`."""
    plain = inspect.unwrap(function)
    found = tuple(inspect.signature(plain).parameters)
    if found != tuple(parameters):
        raise Different(f"{plain.__qualname__} takes {found}")
    missing = [name for name in uses if name not in plain.__code__.co_names]
    if missing:
        raise Different(f"{plain.__qualname__} does not use {', '.join(missing)}")


def attached(attach: Callable[[], None]) -> bool:
    """Call `attach`; False, and a line in the log, when verl is not what it expects."""
    try:
        attach()
    except (Different, AttributeError, TypeError, ValueError) as error:
        say_once(f"this verl cannot be paused, nor saved on request: {error}")
        return False
    return True
