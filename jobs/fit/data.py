"""What is known of the data that jobs train on, looked up for all of the jobs at once."""

from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from typing import Any

from django.db.models import F, Window
from django.db.models.functions import RowNumber

from compute.sizing.question import Lengths
from datasets.models import Report, Version
from jobs import measured
from jobs.models import ENDED, Job
from jobs.verl.phases import ANSWER
from jobs.verl.spec import TrainSpec
from platform_site.work.models import State

OF_DATA = ("train_files", "val_files")  # all that a job's data is found by
LOOKED_AT = 20  # the newest runs of a kind on the same data set
LEAST_STEPS = 2
Files = tuple[Any, ...]


def files_of(spec: TrainSpec) -> Files:
    return tuple(spec.values.get(name) for name in OF_DATA)


class Data:
    """Of the data of ``specs``. ``without`` is a job whose own run teaches nothing."""

    def __init__(self, specs: Collection[TrainSpec], without: Job | None = None) -> None:
        self._without = without
        self._kinds = {spec.kind for spec in specs}
        self.files = {files_of(spec) for spec in specs}

    @cached_property
    def _versions(self) -> Mapping[Files, Version]:
        """The version of a data set to which both files belong, where there is one."""
        whole = [files for files in self.files if all(files)]
        found: dict[Files, Version] = {}
        if whole:
            train, val = zip(*whole, strict=True)
            ready = Version.objects.ready().filter(train_file__in=train, val_file__in=val)
            for version in ready:
                found.setdefault((version.train_file, version.val_file), version)
        return found

    @cached_property
    def _lengths(self) -> Mapping[int, Lengths]:
        """From the newest check of a version that counted tokens."""
        reports = Report.objects.filter(version__in=self._versions.values(), state=State.DONE)
        newest: dict[int, Report] = {}
        for report in reports.exclude(model="") if self._versions else ():
            newest.setdefault(report.version_id, report)
        counted = {pk: report.data.get("lengths") or {} for pk, report in newest.items()}
        return {
            pk: Lengths(float(told["mean"]), int(told["max"]), 0, 0, "data")
            for pk, told in counted.items()
            if told.get("counted")
        }

    @cached_property
    def _ended(self) -> Mapping[tuple[str, int], Sequence[Job]]:
        """The newest runs that measured answers, by their kind and data set."""
        found: dict[tuple[str, int], list[Job]] = {}
        if not self._versions:
            return found
        alike = Job.objects.filter(
            kind__in=self._kinds,
            dataset_version__dataset__in={one.dataset_id for one in self._versions.values()},
            status__in=ENDED,
            step__gte=LEAST_STEPS,
        )
        if self._without:
            alike = alike.exclude(pk=self._without.pk)
        data_set = F("dataset_version__dataset")
        by_age = Window(RowNumber(), partition_by=["kind", data_set], order_by="-pk")
        newest = alike.annotate(age=by_age).filter(age__lte=LOOKED_AT).order_by("-pk")
        for job in newest.select_related("dataset_version"):
            if version := job.dataset_version:
                found.setdefault((job.kind, version.dataset_id), []).append(job)
        return found

    @cached_property
    def _told(self) -> Collection[int]:
        jobs = [job.pk for jobs in self._ended.values() for job in jobs]
        return measured.figures_of(jobs, ANSWER).keys()

    def knows(self, spec: TrainSpec) -> bool:
        """Whether the data of a spec was asked for, and so is found here if it is anywhere."""
        return spec.kind in self._kinds and files_of(spec) in self.files

    def lengths(self, spec: TrainSpec) -> Lengths | None:
        """Of its rows, or of its prompts; None where no check counted them."""
        version = self._versions.get(files_of(spec))
        return self._lengths.get(version.pk) if version else None

    def ended(self, spec: TrainSpec) -> Sequence[Job]:
        """Runs of the same kind on its data set, the newest first."""
        version = self._versions.get(files_of(spec))
        return self._ended.get((spec.kind, version.dataset_id), ()) if version else ()

    def measured_answers(self, job: Job) -> bool:
        return job.pk in self._told
