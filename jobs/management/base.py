"""Shared by the commands on jobs: finding users and jobs, and printing a job."""

from argparse import ArgumentParser
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand

from compute.models import Machine
from jobs.models import Job
from jobs.warning import FieldWarning
from platform_site.commands import FieldError


def add_verb_arguments(parser: ArgumentParser) -> None:
    """Of a command that asks something of one job: which, and who asks."""
    parser.add_argument("id", type=int)
    parser.add_argument("--user", default="", help="who asks (default: first administrator)")


def add_set_argument(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="k=v",
        help="a knob, by its name or its Hydra key, or a further Hydra override",
    )


def sets_of(options: dict[str, Any]) -> list[str]:
    """The values of ``--set``. Raises ``FieldError`` for one without a key."""
    for text in options["set"]:
        if "=" not in text and not text.startswith("~"):
            raise FieldError("set", f"--set {text}: write key=value.")
    sets: list[str] = options["set"]
    return sets


def find_machine(name: str) -> Machine:
    machine = Machine.objects.kept().filter(name__iexact=name).first()
    if machine is None:
        raise FieldError(
            "machine", f"There is no machine {name}: manage.py machine list names all."
        )
    return machine


def find_user(name: str) -> User:
    users = User.objects.filter(username=name) if name else User.objects.filter(is_superuser=True)
    user = users.order_by("pk").first()
    if user is None:
        raise FieldError(
            "user", "There is no such user. manage.py up makes the first administrator."
        )
    return user


def find_job(pk: int) -> Job:
    job = Job.objects.select_related("machine", "owner").filter(pk=pk).first()
    if job is None:
        raise FieldError("id", f"There is no job {pk}. manage.py jobs lists them.")
    return job


def warn(command: BaseCommand, warnings: Iterable[FieldWarning]) -> list[dict[str, str]]:
    """Tell what is unusual on the error output; gives it as a program reads it."""
    told = list(warnings)
    for one in told:
        command.stderr.write(f"Warning: {one}")
    return [{"field": one.field, "message": one.message} for one in told]


def as_json(job: Job) -> dict[str, Any]:
    return {
        "id": job.pk,
        "uuid": str(job.uuid),
        "name": job.name,
        "kind": job.kind,
        "recipe": job.recipe,
        "status": job.status,
        "reason": job.reason,
        "step": job.step,
        "steps": job.steps,
        "exit_code": job.exit_code,
        "attempt": job.attempt,
        "machine": job.machine.name,
        "gpus": job.gpus,
        "priority": job.get_priority_display().lower(),
        "held_by": job.held_by if job.is_held else None,
        "after": job.after_id,
        "verl": job.verl,
        "dataset": job.dataset_version.label if job.dataset_version else None,
        "owner": job.owner.get_username(),
        "is_sample": job.is_sample,
        "archived_at": _time(job.archived_at),
        "created_at": _time(job.created_at),
        "queued_at": _time(job.queued_at),
        "started_at": _time(job.started_at),
        "ended_at": _time(job.ended_at),
        "run_dir": job.run_dir,
    }


def as_line(job: Job) -> str:
    steps = f"{job.step}/{job.steps or '?'}"
    return f"{job.pk:>6}  {job.stands:<10} {job.kind:<6} {steps:>11}  {job.name}"


def _time(at: datetime | None) -> str | None:
    return at.isoformat() if at else None
