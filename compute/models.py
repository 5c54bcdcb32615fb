from pathlib import PurePosixPath

from django.core.validators import MinValueValidator
from django.db import models


class Machine(models.Model):
    class Kind(models.TextChoices):
        LOCAL = "local", "This machine"

    name = models.CharField(max_length=100, unique=True)
    kind = models.CharField(max_length=10, choices=Kind.choices, default=Kind.LOCAL)
    workdir = models.CharField(max_length=500, help_text="Runs are kept below this folder.")
    python = models.CharField(
        max_length=500, help_text="The Python that has verl and trainyard_node."
    )
    verl = models.CharField(
        max_length=20, default="0.9.1", help_text="The release of verl that this Python has."
    )
    slots = models.PositiveSmallIntegerField(
        default=1,
        validators=[MinValueValidator(1)],
        help_text="Runs on the CPU at the same time.",
    )
    gpus = models.PositiveSmallIntegerField(
        "GPUs", null=True, blank=True, help_text="Empty: as many as were last measured."
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name

    def attempt_dir(self, run_id: object, attempt: int) -> str:
        return str(PurePosixPath(self.workdir) / "runs" / str(run_id) / f"attempt-{attempt}")


class MachineSample(models.Model):
    machine = models.ForeignKey(Machine, on_delete=models.CASCADE, related_name="samples")
    at = models.DateTimeField(db_index=True)
    data = models.JSONField(help_text="CPU, memory, disk and GPUs as they were measured.")

    class Meta:
        ordering = ("-at",)
        get_latest_by = "at"

    def __str__(self) -> str:
        return f"{self.machine_id} at {self.at:%F %T}"
