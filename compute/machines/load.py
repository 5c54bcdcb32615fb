"""The load of machines, measured and kept for an hour."""

from datetime import timedelta
from typing import Any

from django.utils import timezone

from compute.machines.reachability import mark_reachable, mark_unreachable
from compute.machines.runners import runner_for
from compute.models import Machine, MachineSample
from compute.runners.base import RunnerError, Unreachable

KEEP_SAMPLES = timedelta(hours=1)
FRESH = timedelta(seconds=30)  # what was measured longer ago is not how a machine is now


def record_sample(machine: Machine) -> MachineSample | None:
    """Measure the machine's load, keep it, and forget what is older than an hour.

    None where there is nothing to measure: it is removed, not confirmed or set up yet, or does
    not answer.
    """
    if machine.is_retired or machine.is_group or not machine.is_confirmed:
        return None  # a group's members are measured themselves
    try:
        data = _measured(machine)
    except Unreachable as error:
        mark_unreachable(machine, error)
        return None
    except RunnerError:
        mark_reachable(machine)  # it answered, though not with its load
        raise
    mark_reachable(machine)
    if data is None:
        return None
    sample = MachineSample(machine=machine, at=timezone.now(), data=data)
    sample.save()
    machine.samples.filter(at__lt=sample.at - KEEP_SAMPLES).delete()
    return sample


def _measured(machine: Machine) -> dict[str, Any] | None:
    """Its load; None where it answers, and has no environment yet to measure with."""
    runner = runner_for(machine)
    if machine.python:
        return runner.sample()
    runner.now()
    return None


def load_of(machine: Machine, points: int = 60) -> dict[str, Any]:
    """The last sample and recent CPU use.

    ``sample`` is None when the last is older than half a minute; that one is then ``last``.
    """
    recent = list(machine.samples.all()[:points])
    fresh = recent and timezone.now() - recent[0].at < FRESH
    return {
        "machine": machine,
        "sample": recent[0].shown if fresh else None,
        "last": recent[0].shown if recent and not fresh else None,
        "cpu_history": [use for sample in reversed(recent) if (use := sample.cpu) is not None],
    }
