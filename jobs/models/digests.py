from django.db import models


class KnownDigest(models.Model):
    """The SHA-256 of a large file of this machine, for as long as nobody touched the file."""

    key = models.CharField(max_length=64, unique=True, help_text="SHA-256 of its real path.")
    stamp = models.CharField(max_length=100, help_text="Size, and when it was changed.")
    digest = models.CharField(max_length=64)
    used_at = models.DateTimeField()

    class Meta:
        ordering = ("-used_at",)

    def __str__(self) -> str:
        return self.digest
