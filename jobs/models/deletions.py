"""Jobs that are deleted, with their files and with all that was recorded of them."""

from django.conf import settings
from django.db import models

from jobs.models.jobs import Job
from platform_site.work.models import Work


class Deletion(Work):
    """That a job was to be deleted, and what became of it. It is kept when the job is gone."""

    job = models.ForeignKey(
        Job, on_delete=models.SET_NULL, null=True, blank=True, related_name="deletions"
    )
    number = models.PositiveBigIntegerField(help_text="Of the job.")
    name = models.CharField(max_length=200, help_text="Of the job.")
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    leaves = models.BooleanField(
        default=False, help_text="Files on a machine that does not answer are left there."
    )
    freed = models.PositiveBigIntegerField(default=0, help_text="Bytes.")
    left = models.TextField(blank=True, help_text="What was left, and where.")

    class Meta:
        ordering = ("-asked_at", "-pk")

    def __str__(self) -> str:
        return f"Deletion of job {self.number}"
