"""Which packages the training Python of a machine lacks, asked once for some seconds."""

from collections.abc import Iterable
from hashlib import sha256

from django.core.cache import cache

from compute.machines.runners import runner_for
from compute.models import Machine
from compute.runners.base import RunnerError

BELIEVED_FOR = 20  # seconds


def lacking_packages(machine: Machine, names: Iterable[str]) -> frozenset[str]:
    """Those of the names that it lacks.

    The result is empty if the machine cannot be asked: other checks report its problems.
    """
    asked = sorted(set(names))
    told = sha256(" ".join([machine.python, *asked]).encode()).hexdigest()
    key = f"packages-{machine.pk}-{told}"
    known: frozenset[str] | None = cache.get(key)
    if known is None:
        try:
            known = frozenset(runner_for(machine).lacking(asked))
        except RunnerError:
            return frozenset()
        cache.set(key, known, BELIEVED_FOR)
    return known
