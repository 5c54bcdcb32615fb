from django.db import models

from jobs.models import Job


class Cursor(models.Model):
    """How far a file of a run has been read. Moves in the transaction that saves what was read."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="cursors")
    attempt = models.PositiveIntegerField()
    file = models.CharField(max_length=40)
    offset = models.PositiveBigIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["job", "attempt", "file"], name="one_cursor_a_file")
        ]

    def __str__(self) -> str:
        return f"{self.file} of {self.job_id} at {self.offset}"


class Series(models.Model):
    """One metric of one job, with its last value for tables."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="series")
    name = models.CharField(max_length=200)
    last_step = models.PositiveIntegerField(default=0)
    last_value = models.FloatField(null=True, help_text="Empty is NaN.")

    class Meta:
        ordering = ("name",)
        verbose_name_plural = "series"
        constraints = [
            models.UniqueConstraint(fields=["job", "name"], name="one_series_a_name"),
        ]

    def __str__(self) -> str:
        return self.name


class Point(models.Model):
    """A value at a step. Reading the same bytes twice writes the same point."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE)
    series = models.ForeignKey(Series, on_delete=models.CASCADE, related_name="points")
    step = models.PositiveIntegerField()
    value = models.FloatField(null=True, help_text="Empty is NaN.")
    revision = models.PositiveBigIntegerField()

    class Meta:
        ordering = ("step",)
        constraints = [
            models.UniqueConstraint(fields=["series", "step"], name="one_point_a_step"),
        ]
        indexes = [models.Index(fields=["job", "revision"])]

    def __str__(self) -> str:
        return f"{self.series_id} step {self.step}"


class SystemSample(models.Model):
    """Hardware while a job ran, as its wrapper measured it."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="system_samples")
    at = models.DateTimeField()
    data = models.JSONField()
    revision = models.PositiveBigIntegerField()
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
        indexes = [models.Index(fields=["job", "revision"])]

    def __str__(self) -> str:
        return f"{self.job_id} at {self.at:%F %T}"
