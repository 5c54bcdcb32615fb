"""Wait for a condition, never for a fixed time."""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from django.db import connection

T = TypeVar("T")


def eventually(look: Callable[[], T], within: float = 60, what: str = "") -> T:
    """Return the first true answer of ``look``. Raises ``AssertionError`` after ``within``."""
    deadline = time.monotonic() + within
    while not (answer := look()):
        assert time.monotonic() < deadline, f"not within {within} s: {what or look}"
        time.sleep(0.01)
    return answer


def together(act: Callable[[], object], times: int) -> None:
    """Run a function in so many threads at once. No thread may raise."""
    errors: list[Exception] = []

    def alone() -> None:
        try:
            act()
        except Exception as error:
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=alone) for _ in range(times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert errors == []
