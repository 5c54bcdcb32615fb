"""Users' accounts at trackers: stored encrypted, and given to a run's process only."""

from collections.abc import Iterable, Mapping
from typing import Any

from django.contrib.auth.models import User
from django.utils import timezone

from compute.machines.local import local_machine
from compute.machines.packages import lacking_packages
from compute.models import Machine
from jobs.kinds.base import Spec
from jobs.kinds.registry import kind_of
from jobs.models import Job, TrackerSecret
from jobs.verl.spec import Problem, TrainSpec
from jobs.verl.trackers import ALL, TRACKERS, Tracker, asked_by
from platform_site.secrets import SecretError

LONGEST = 4000
PACKAGES = frozenset(tracker.package for tracker in ALL)


class TrackerError(Exception):
    """A run cannot log to a tracker that it names. The message is a sentence for the user."""


def keep(owner: User, tracker: Tracker, values: Mapping[str, str]) -> None:
    """Set variables of an account; the others stay unchanged."""
    for variable, value in values.items():
        TrackerSecret.objects.update_or_create(
            owner=owner,
            tracker=tracker.name,
            variable=variable,
            defaults={"value": value, "set_at": timezone.now()},
        )


def remove(owner: User, tracker: Tracker, variable: str = "") -> int:
    """Delete one variable of an account, or all; return how many there were."""
    found = TrackerSecret.objects.filter(owner=owner, tracker=tracker.name)
    return (found.filter(variable=variable) if variable else found).delete()[0]


def fault(tracker: Tracker, name: str, value: str) -> str | None:
    """Why a value is wrong for a variable, or None."""
    if problem := unknown(tracker, name):
        return problem
    if not value.isprintable() or len(value) > LONGEST:
        return f"A value is one line of printable characters, at most {LONGEST}."
    choices = next(one.choices for one in tracker.variables if one.name == name)
    if choices and value not in choices:
        return f"{name} is one of {', '.join(choices)}."
    return None


def unknown(tracker: Tracker, name: str) -> str | None:
    """Why a tracker has no such variable, or None if it has it."""
    names = [variable.name for variable in tracker.variables]
    if name in names:
        return None
    known = f"It has {', '.join(names)}." if names else "It needs no account."
    return f"{tracker.label} has no variable {name or 'without a name'}. {known}"


def overview(user: User) -> list[dict[str, Any]]:
    """Each tracker with its variables and the times when the user set them, but no values."""
    found = TrackerSecret.objects.filter(owner=user).defer("value")
    times = {(secret.tracker, secret.variable): secret.set_at for secret in found}
    lacking = lacking_packages(local_machine(), PACKAGES)
    return [
        {
            "tracker": tracker,
            "variables": [(v, times.get((tracker.name, v.name))) for v in tracker.variables],
            "has_package": tracker.package not in lacking,
        }
        for tracker in ALL
    ]


def environment(spec: Spec, owner: User) -> dict[str, str]:
    """The variables of the owner's accounts that a run needs, open: for its process only.

    Raises ``TrackerError`` when one is missing or cannot be decrypted.
    """
    accounts = _accounts(spec, owner)
    for tracker, values in accounts:
        if problem := _missing(tracker, values):
            raise TrackerError(problem)
    return {name: value for _, values in accounts for name, value in values.items()}


def problems(spec: TrainSpec, user: User, machine: Machine | None = None) -> list[Problem]:
    """Why a run could not log to its trackers: an account or a package is missing."""
    field = asked_by(spec)
    try:
        accounts = _accounts(spec, user)
    except TrackerError as error:
        return [Problem(field, str(error))]
    found = [_missing(tracker, values) for tracker, values in accounts]
    if machine and machine.is_ray:
        found += [_would_be_seen(tracker, machine) for tracker, _ in accounts if tracker.variables]
    lacking = _packages_lacking([t for t, _ in accounts], machine or local_machine())
    return [Problem(field, text) for text in (*found, *lacking) if text]


def _would_be_seen(tracker: Tracker, machine: Machine) -> str:
    return (
        f"{tracker.label} needs an account, and what a run is given on {machine} can be read by "
        "everyone who sees its dashboard: choose another machine, or leave it out."
    )


def mask(text: str, job: Job) -> str:
    """A text of a run with its owner's secrets replaced by stars."""
    for value in secret_values(job):
        text = text.replace(value, "*" * len(value))
    return text


def secret_values(job: Job) -> list[str]:
    """Values that a job's output must not show, the longest first."""
    try:
        accounts = _accounts(job.spec_of_kind, job.owner_id)
    except TrackerError:
        return []
    values = {
        found[variable.name]
        for tracker, found in accounts
        for variable in tracker.variables
        if variable.name in found and variable.must_hide(found[variable.name])
    }
    return sorted(values, key=len, reverse=True)


def _accounts(spec: Spec, owner: User | int) -> list[tuple[Tracker, dict[str, str]]]:
    trackers = [TRACKERS[name] for name in kind_of(spec).trackers(spec)]
    if not trackers:
        return []
    names = [tracker.name for tracker in trackers]
    secrets = list(TrackerSecret.objects.filter(owner=owner, tracker__in=names))
    return [(t, _opened(s for s in secrets if s.tracker == t.name)) for t in trackers]


def _opened(secrets: Iterable[TrackerSecret]) -> dict[str, str]:
    try:
        return {secret.variable: secret.value.open() for secret in secrets}
    except SecretError as error:
        raise TrackerError(str(error)) from None


def _missing(tracker: Tracker, values: Mapping[str, str]) -> str | None:
    variable = tracker.missing(values)
    return variable and (
        f"{tracker.label} needs {variable}: set it on the page Trackers (/jobs/trackers/), or with "
        f"manage.py tracker set {tracker.name} {variable}."
    )


def _packages_lacking(chosen: list[Tracker], machine: Machine) -> list[str]:
    lacking = lacking_packages(machine, PACKAGES) if chosen else frozenset[str]()
    return [
        f"The training environment of {machine} has no {tracker.package}. Install it there: "
        f"{machine.python} -m pip install {tracker.package}"
        for tracker in chosen
        if tracker.package in lacking
    ]
