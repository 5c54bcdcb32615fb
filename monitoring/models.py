import math
from pathlib import Path

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.urls import reverse

from jobs.models import Job
from monitoring.series.summary import Summary
from platform_site.work.models import Work


class Cursor(models.Model):
    """How far a file of a run has been read. Moves in the transaction that saves what was read."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="cursors")
    attempt = models.PositiveIntegerField()
    file = models.CharField(max_length=40)
    offset = models.PositiveBigIntegerField(default=0)
    broken = models.PositiveIntegerField(
        default=0, help_text="Lines that could not be read and were left out."
    )
    first_broken = models.PositiveBigIntegerField(
        null=True, blank=True, help_text="The byte at which the first of them begins."
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["job", "attempt", "file"], name="one_cursor_a_file")
        ]

    def __str__(self) -> str:
        return f"{self.file} of {self.job_id} at {self.offset}"


class MetricManager(models.Manager["Series"]):
    """Without the series of times, which is none of the metrics."""

    def get_queryset(self) -> models.QuerySet["Series"]:
        return super().get_queryset().filter(is_clock=False)


class Series(models.Model):
    """One metric of one job, with what tables show of it. Its points: monitoring.store.points."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="series")
    name = models.CharField(max_length=200)
    is_clock = models.BooleanField(
        default=False, help_text="Its values are the times of the job's steps, in epoch seconds."
    )
    last_step = models.PositiveBigIntegerField(default=0)
    last_value = models.FloatField(null=True, help_text="Empty is NaN.")
    low = models.FloatField(null=True, help_text="The least finite value.")
    high = models.FloatField(null=True, help_text="The greatest finite value.")
    count = models.PositiveIntegerField(default=0)

    objects = MetricManager()
    everything: models.Manager["Series"] = models.Manager()

    class Meta:
        ordering = ("name",)
        verbose_name_plural = "series"
        constraints = [
            models.UniqueConstraint(fields=["job", "name", "is_clock"], name="one_series_a_name"),
        ]
        # For one metric of many jobs. Without the values, so that no write of a point touches it.
        indexes = [models.Index(fields=["name", "job"], name="jobs_of_a_metric")]

    def __str__(self) -> str:
        return self.name

    @property
    def summary(self) -> Summary:
        value = math.nan if self.last_value is None else self.last_value
        return Summary(self.last_step, value, self.low, self.high, self.count)


class Pin(models.Model):
    """A user puts a metric among those that stand first on the pages of a kind of job, or takes it
    from there."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="pins"
    )
    kind = models.CharField(max_length=30, help_text="The kind of job.")
    name = models.CharField(max_length=200)
    is_first = models.BooleanField(default=True)

    class Meta:
        ordering = ("pk",)
        constraints = [
            models.UniqueConstraint(fields=["user", "kind", "name"], name="one_pin_a_metric"),
        ]

    def __str__(self) -> str:
        return self.name


class Block(models.Model):
    """Up to a thousand points of a series, by step. Only monitoring.store reads and writes it."""

    series = models.ForeignKey(Series, on_delete=models.CASCADE, related_name="blocks")
    first_step = models.BigIntegerField()
    last_step = models.BigIntegerField()
    last_value = models.FloatField(null=True, help_text="Empty is NaN.")
    low = models.FloatField(null=True)
    high = models.FloatField(null=True)
    count = models.PositiveIntegerField()
    steps = models.BinaryField(help_text="Nothing when they are evenly spaced.")
    values = models.BinaryField()
    is_open = models.BooleanField(help_text="Whether more points go into it: it is the last.")

    class Meta:
        ordering = ("series", "first_step")
        constraints = [
            models.UniqueConstraint(fields=["series", "first_step"], name="one_block_a_step"),
            models.UniqueConstraint(
                fields=["series"], condition=Q(is_open=True), name="one_open_block_a_series"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.series_id} steps {self.first_step} to {self.last_step}"


class MetricStore(models.Model):
    """How far a job's points have come. Only monitoring.store reads and writes it."""

    job = models.OneToOneField(
        Job, on_delete=models.CASCADE, primary_key=True, related_name="metric_store"
    )
    number = models.PositiveBigIntegerField(
        default=0, help_text="Of the last write: the cursor of a page that has seen all."
    )
    folded = models.PositiveBigIntegerField(
        default=0, help_text="Writes up to this one are in blocks."
    )
    waiting = models.PositiveIntegerField(default=0, help_text="Points that are in no block yet.")
    known_from = models.PositiveBigIntegerField(
        default=0, help_text="A page whose cursor is before this one reads anew."
    )

    def __str__(self) -> str:
        return f"{self.job_id} at {self.number}"


class MetricWrite(models.Model):
    """The points of some lines, as they were appended. Only monitoring.store knows how."""

    store = models.ForeignKey(MetricStore, on_delete=models.CASCADE, related_name="writes")
    number = models.PositiveBigIntegerField()
    points = models.PositiveIntegerField()
    data = models.BinaryField()

    class Meta:
        ordering = ("store", "number")
        constraints = [
            models.UniqueConstraint(fields=["store", "number"], name="one_write_a_number"),
        ]

    def __str__(self) -> str:
        return f"{self.store_id} number {self.number}"


class SystemSample(models.Model):
    """Hardware while a job ran, as its wrapper measured it."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="system_samples")
    at = models.DateTimeField()
    data = models.JSONField()
    attempt = models.PositiveIntegerField()
    position = models.PositiveBigIntegerField()

    class Meta:
        ordering = ("at",)
        get_latest_by = "at"
        constraints = [
            models.UniqueConstraint(
                fields=["job", "attempt", "position"], name="one_sample_a_position"
            )
        ]
        indexes = [models.Index(fields=["job", "id"], name="last_sample_of_a_job")]

    def __str__(self) -> str:
        return f"{self.job_id} at {self.at:%F %T}"


class RunImport(Work):
    """Runs of another tool that are to become jobs here, and what became of them."""

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="run_imports"
    )
    name = models.CharField(max_length=200, help_text="Of the file or folder, as it was given.")
    path = models.CharField(max_length=1000, help_text="Where it is read from; empty when gone.")
    is_upload = models.BooleanField(default=False, help_text="It is removed after the import.")
    title = models.CharField(max_length=200, blank=True, help_text="The name of a single run.")
    jobs = models.ManyToManyField(Job, blank=True, related_name="imports")
    left_out = models.JSONField(default=list, blank=True, help_text="Sentences.")

    class Meta:
        ordering = ("-asked_at", "-pk")

    def __str__(self) -> str:
        return f"Import of {self.name}"

    def get_absolute_url(self) -> str:
        return reverse("imports:detail", args=[self.pk])

    @property
    def folder(self) -> Path:
        """Where an upload lies, and is unpacked."""
        return settings.TRAINYARD_HOME / "imports" / str(self.pk)
