"""What a Prometheus is told of the site and its active runs, in its text format.

https://prometheus.io/docs/instrumenting/exposition_formats/
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from django.db.models import Count, Q
from django.utils import timezone

from compute.models import Machine
from jobs.models import ACTIVE, Job, JobQuerySet, Lease, Status
from monitoring.models import Series

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
MOST_RUNS = 500  # the newest active ones
VALIDATION = "val-core/"
MOST_FIGURES = 50  # of a run: its key metrics and validation scores
Labels = Mapping[str, object]


@dataclass
class Gauge:
    name: str
    meaning: str
    values: list[tuple[Labels, float]] = field(default_factory=list)

    def add(self, value: float | None, **labels: object) -> None:
        if value is not None:
            self.values.append((labels, value))

    def lines(self) -> Iterator[str]:
        if self.values:
            yield f"# HELP {self.name} {self.meaning}"
            yield f"# TYPE {self.name} gauge"
        for labels, value in self.values:
            told = ",".join(f'{name}="{_escaped(str(text))}"' for name, text in labels.items())
            yield (
                f"{self.name}{{{told}}} {_number(value)}"
                if told
                else f"{self.name} {_number(value)}"
            )


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _number(value: float) -> str:
    if math.isfinite(value):
        return repr(float(value))
    return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"


def exposition(jobs: JobQuerySet) -> str:
    """All that is told of these jobs and of the machines, in a fixed number of queries."""
    gauges = [*_of_jobs(jobs), *_of_machines(), *_of_runs(jobs)]
    return "".join(f"{line}\n" for gauge in gauges for line in gauge.lines())


def _of_jobs(jobs: JobQuerySet) -> Iterable[Gauge]:
    gauge = Gauge("trainyard_jobs", "Jobs by their status, without those in the archive.")
    counts = dict(jobs.shown().order_by().values_list("status").annotate(count=Count("pk")))
    for status in Status.values:
        gauge.add(counts.get(status, 0), status=status)
    return [gauge]


def _of_machines() -> Iterable[Gauge]:
    reachable = Gauge(
        "trainyard_machine_reachable", "1 where the machine answered when last asked."
    )
    gpus = Gauge("trainyard_machine_gpus", "GPUs of the machine, as they were last counted.")
    leased = Gauge("trainyard_machine_gpus_leased", "GPUs of the machine that jobs have.")
    waiting = Gauge("trainyard_machine_jobs_queued", "Jobs that wait for the machine.")
    leases = dict(Lease.objects.values_list("machine").annotate(Count("pk")))
    queued = dict(
        Job.objects.filter(status=Status.QUEUED)
        .order_by()
        .values_list("machine")
        .annotate(Count("pk"))
    )
    for machine in Machine.objects.filter(is_retired=False):
        reachable.add(float(machine.unreachable_since is None), machine=machine.name)
        gpus.add(machine.gpus, machine=machine.name)
        leased.add(leases.get(machine.pk, 0), machine=machine.name)
        waiting.add(queued.get(machine.pk, 0), machine=machine.name)
    return [reachable, gpus, leased, waiting]


def _of_runs(jobs: JobQuerySet) -> Iterable[Gauge]:
    step = Gauge("trainyard_run_step", "The last step that was seen in the metrics of the run.")
    steps = Gauge("trainyard_run_steps", "The steps that the run promised.")
    pace = Gauge("trainyard_run_step_seconds", "Seconds a step, on average since the first.")
    elapsed = Gauge("trainyard_run_elapsed_seconds", "Seconds that the run took, in all attempts.")
    age = Gauge("trainyard_run_last_step_age_seconds", "Seconds since the last step was seen.")
    silent = Gauge("trainyard_run_silent", "1 while the run gives no sign of life.")
    figure = Gauge("trainyard_run_metric", "The last value of a metric that the run logged.")
    active = list(
        jobs.filter(status__in=ACTIVE)
        .select_related("machine", "owner")
        .order_by("-pk")[:MOST_RUNS]
    )
    figures = _figures(active)
    for job in active:
        labels = {"job": job.pk, "name": job.name, "kind": job.kind, "machine": job.machine.name}
        step.add(job.step, **labels)
        steps.add(job.steps, **labels)
        pace.add(job.seconds_per_step, **labels)
        elapsed.add(job.elapsed.total_seconds() if job.elapsed else None, **labels)
        if job.step_at:
            age.add((timezone.now() - job.step_at).total_seconds(), **labels)
        silent.add(float(job.silent_since is not None), **labels)
        for name, value in figures.get(job.pk, ()):
            figure.add(value, **labels, metric=name)
    return [step, steps, pace, elapsed, age, silent, figure]


def _figures(jobs: Iterable[Job]) -> dict[int, list[tuple[str, float]]]:
    """The last values of the key metrics and the validation scores of each job."""
    wanted = {job.pk: set(job.job_kind.key_metrics(job.spec_of_kind)) for job in jobs}
    names = {name for each in wanted.values() for name in each}
    rows = Series.objects.filter(Q(name__in=names) | Q(name__startswith=VALIDATION), job__in=wanted)
    found: dict[int, list[tuple[str, float]]] = {pk: [] for pk in wanted}
    for series in rows:
        mine = found[series.job_id]
        is_wanted = series.name in wanted[series.job_id] or series.name.startswith(VALIDATION)
        if is_wanted and len(mine) < MOST_FIGURES:
            mine.append((series.name, series.summary.last_value))
    return found
