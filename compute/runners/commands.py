"""How the fixed programs of a check and a set-up are run on a machine."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

RunCommand: TypeAlias = Callable[[Sequence[str], bytes, float], bytes]
"""Runs a command on the machine, given its argv, its standard input and the seconds that it may
take, and returns its standard output. Raises ``RunnerError``."""
