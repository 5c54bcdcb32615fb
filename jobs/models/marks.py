"""What people mark jobs with, and how they want their list: tags, pins, saved views, columns."""

from django.conf import settings
from django.core.validators import RegexValidator
from django.db import models

from jobs.models.jobs import Job

LONGEST_TAG = 40
PLAIN_TAG = RegexValidator(
    r"\A[^\s,\"()=<>!~]+\Z",
    "A tag is one word without quotes, commas and marks of a filter.",
)


class Tag(models.Model):
    """A word that people put on a job, for all who see it."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="tags")
    name = models.CharField(max_length=LONGEST_TAG, validators=[PLAIN_TAG])

    class Meta:
        ordering = ("name",)
        constraints = [models.UniqueConstraint(fields=["job", "name"], name="one_tag_a_name")]
        indexes = [models.Index(fields=["name"], name="jobs_of_a_tag")]

    def __str__(self) -> str:
        return self.name


class PinnedJob(models.Model):
    """A job that a user wants at the top of the list."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="pins")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="pinned_jobs"
    )

    class Meta:
        ordering = ("-pk",)
        constraints = [models.UniqueConstraint(fields=["user", "job"], name="pinned_once")]

    def __str__(self) -> str:
        return f"Job {self.job_id} for {self.user_id}"


class SavedView(models.Model):
    """A list of jobs that a user comes back to: the filter, the sort and the columns."""

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="job_views"
    )
    name = models.CharField(max_length=60)
    query = models.TextField(blank=True, help_text="The address of the list behind its ?.")

    class Meta:
        ordering = ("name", "pk")
        constraints = [models.UniqueConstraint(fields=["owner", "name"], name="one_view_a_name")]

    def __str__(self) -> str:
        return self.name


class ListColumns(models.Model):
    """The columns of the list of jobs that a user chose last."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="list_columns"
    )
    columns = models.JSONField(default=list)

    class Meta:
        ordering = ("user",)
        verbose_name_plural = "list columns"

    def __str__(self) -> str:
        return ", ".join(self.columns)
