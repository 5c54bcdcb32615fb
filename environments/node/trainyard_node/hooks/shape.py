"""Check that verl's code is the code that the hooks were written for."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from trainyard_node.control import say_once


class Different(Exception):
    """This verl differs from the expected one; the message says where."""


def check(function: Any, parameters: Sequence[str], uses: Sequence[str] = ()) -> None:
    """Raises Different unless `function` takes `parameters` and uses the attributes `uses`."""
    plain = inspect.unwrap(function)
    found = tuple(inspect.signature(plain).parameters)
    if found != tuple(parameters):
        raise Different(f"{plain.__qualname__} takes {found}")
    missing = [name for name in uses if name not in plain.__code__.co_names]
    if missing:
        raise Different(f"{plain.__qualname__} does not use {', '.join(missing)}")


CANNOT = "cannot be paused, nor saved on request"


def attached(attach: Callable[[], None], cannot: str = CANNOT) -> bool:
    """Call `attach`. If verl differs from what it expects, return False and log a line that says
    what this verl `cannot`."""
    try:
        attach()
    except (Different, AttributeError, TypeError, ValueError) as error:
        say_once(f"this verl {cannot}: {error}")
        return False
    return True
