from django.conf import settings
from django.db import models

from platform_site.secrets import EncryptedTextField


class TrackerSecret(models.Model):
    """One environment variable of a user's account at a tracker. Its value is shown to no one."""

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="tracker_secrets"
    )
    tracker = models.CharField(max_length=20)
    variable = models.CharField(max_length=50)
    value = EncryptedTextField()
    set_at = models.DateTimeField()

    class Meta:
        ordering = ("tracker", "variable")
        constraints = [
            models.UniqueConstraint(fields=["owner", "tracker", "variable"], name="tracker_once"),
        ]

    def __str__(self) -> str:
        return f"{self.variable} of {self.owner}"
