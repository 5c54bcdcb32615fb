"""Compare the settings of jobs, and what verl made of them where all of them told that."""

from collections.abc import Iterable, Mapping, Sequence

from django.conf import settings

from jobs.launch import command
from jobs.models import Job
from jobs.provenance.reading import Attempt, configs_of
from jobs.verl.configtree import DEFAULT, Leaf
from jobs.verl.diff import Cell, Row, Run, compare, run_of
from jobs.verl.spec import TrainSpec

MOST = 200  # jobs; a page shows as many over each other
MOST_RESOLVED = 20  # jobs whose whole configurations are compared
MOST_FURTHER = 200  # rows of keys that are no settings of the form
BY_TRAINYARD = "platform"  # where a run lies and what it is called differs always


def compare_jobs(jobs: Sequence[Job]) -> list[Row]:
    """One row for each setting of any of the jobs, the important ones first; then one for each
    further key that differs in what verl resolved."""
    told = configs_of(jobs) if len(jobs) <= MOST_RESOLVED else {}
    resolved = told if all(job.pk in told for job in jobs) else {}
    rows = compare([_run(job, resolved.get(job.pk)) for job in jobs])
    return rows + further(rows, [resolved[job.pk] for job in jobs] if resolved else [])


def _run(job: Job, told: Attempt | None) -> Run:
    kind, spec = job.job_kind, job.spec_of_kind
    if not kind.has_recipes:
        return Run(TrainSpec(job.kind), others=kind.values(spec))
    try:
        known = command.command_of(job).settings
    except (KeyError, ValueError):
        known = ()  # a draft whose settings make no command any more
    resolved = told.config if told else None
    return run_of(spec, known, settings.TRAINYARD_VERL_SCHEMA, resolved)


def further(rows: Iterable[Row], attempts: Sequence[Attempt]) -> list[Row]:
    """The keys that no row has, and whose values differ."""
    known = {key for row in rows for key in row.key.split(" · ")}
    columns = [{leaf.key: leaf for leaf in attempt.leaves} for attempt in attempts]
    keys = dict.fromkeys(key for column in columns for key in column if key not in known)
    found = (_further(key, columns) for key in keys)
    return [row for row in found if row is not None][:MOST_FURTHER]


def _further(key: str, columns: Sequence[Mapping[str, Leaf]]) -> Row | None:
    leaves = [column.get(key) for column in columns]
    texts = {leaf.text if leaf else None for leaf in leaves}
    if len(texts) == 1 or any(leaf and leaf.origin == BY_TRAINYARD for leaf in leaves):
        return None
    return Row(key, "Resolved", key, "", tuple(map(_cell, leaves)), True)


def _cell(leaf: Leaf | None) -> Cell:
    if leaf is None:
        return Cell("", "absent")
    return Cell(leaf.short, "default" if leaf.state == DEFAULT else "resolved")
