"""What jobs make and read: artifacts, the places where each lies, and which job reads which."""

from pathlib import PurePosixPath
from typing import Self

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, User
from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.urls import reverse

from compute.models import Machine
from datasets.models import Version
from jobs.models.jobs import Job
from platform_site.work.models import Work


class ArtifactQuerySet(models.QuerySet["Artifact"]):
    def visible_to(self, user: AbstractBaseUser | AnonymousUser) -> Self:
        """A user's own; data sets belong to everybody, as their pages do."""
        if isinstance(user, User) and user.is_staff:
            return self
        return self.filter(Q(owner_id=user.pk) | Q(kind=Artifact.Kind.DATASET))

    def with_state(self) -> Self:
        """Each with ``is_there``: whether any place is known where it still lies."""
        return self.annotate(is_there=_lies_somewhere())

    def there(self) -> Self:
        return self.filter(_lies_somewhere())

    def gone(self) -> Self:
        return self.exclude(_lies_somewhere())


def _lies_somewhere() -> Exists:
    return Exists(Place.objects.there().filter(artifact=OuterRef("pk")))


class Artifact(models.Model):
    """Something that a job made, or that somebody brought for a job to read."""

    class Kind(models.TextChoices):
        CHECKPOINT = "checkpoint", "Checkpoint"
        HUGGINGFACE = "huggingface", "Hugging Face folder"
        ADAPTER = "adapter", "Adapter"
        DATASET = "dataset", "Data set version"
        REWARD = "reward", "Reward file"
        REPORT = "report", "Report"

    kind = models.CharField(max_length=20, choices=Kind.choices)
    name = models.CharField(
        max_length=1000,
        help_text="Below the directory of the attempt that made it; of others, as it was named.",
    )
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    job = models.ForeignKey(
        Job, on_delete=models.SET_NULL, null=True, blank=True, related_name="artifacts",
        help_text="That made it; empty where somebody brought it.",
    )  # fmt: skip
    attempt = models.PositiveIntegerField(null=True, blank=True)
    step = models.PositiveBigIntegerField(null=True, blank=True)
    version = models.OneToOneField(
        Version, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    size = models.PositiveBigIntegerField(null=True, blank=True, help_text="Bytes.")
    digest = models.CharField(
        max_length=64, blank=True, help_text="SHA-256 in hex; empty where nobody computed it."
    )
    is_whole = models.BooleanField(default=True)
    fault = models.TextField(blank=True, help_text="Why it is not whole.")
    examined_at = models.DateTimeField(
        null=True, blank=True, help_text="When its files were looked into, beyond their names."
    )
    has_model = models.BooleanField(
        default=False, help_text="Whether a Hugging Face folder is in it."
    )
    made_at = models.DateTimeField(null=True, blank=True, db_index=True)
    pinned_at = models.DateTimeField(null=True, blank=True)
    pinned_by = models.CharField(max_length=150, blank=True)

    objects = ArtifactQuerySet.as_manager()

    class Meta:
        ordering = ("-made_at", "-pk")
        constraints = [
            models.UniqueConstraint(fields=["job", "attempt", "name"], name="artifact_made_once"),
        ]

    def __str__(self) -> str:
        return self.label

    def get_absolute_url(self) -> str:
        return reverse("artifacts:detail", args=[self.pk])

    @property
    def label(self) -> str:
        """What it is called on pages and in sentences."""
        if self.kind == self.Kind.CHECKPOINT and self.step is not None:
            return f"checkpoint of step {self.step}"
        return PurePosixPath(self.name).name if self.name.startswith("/") else self.name

    @property
    def is_unfinished(self) -> bool:
        """By the names of its files alone: its writing has not ended, or was cut off."""
        return not self.is_whole and self.examined_at is None

    @property
    def is_pinned(self) -> bool:
        return self.pinned_at is not None


class PlaceQuerySet(models.QuerySet["Place"]):
    def there(self) -> Self:
        return self.filter(gone_at=None)


class Place(models.Model):
    """Where an artifact lies: what was brought to a second machine lies in two places."""

    artifact = models.ForeignKey(Artifact, on_delete=models.CASCADE, related_name="places")
    machine = models.ForeignKey(Machine, on_delete=models.CASCADE, related_name="+")
    path = models.CharField(max_length=1000)
    seen_at = models.DateTimeField(help_text="When it was last found there.")
    gone_at = models.DateTimeField(null=True, blank=True)
    gone_by = models.CharField(
        max_length=150, blank=True, help_text="Who had it deleted; empty: it was found gone."
    )

    objects = PlaceQuerySet.as_manager()

    class Meta:
        ordering = ("artifact", "pk")
        constraints = [
            models.UniqueConstraint(fields=["artifact", "machine", "path"], name="place_known_once")
        ]

    def __str__(self) -> str:
        return f"{self.path} on {self.machine}"

    @property
    def removal(self) -> "Removal | None":
        """The last time that somebody asked for it to be deleted."""
        return max(self.removals.all(), key=lambda each: each.pk, default=None)


class Removal(Work):
    """That a place was to be emptied, and what became of it. Each place may have several."""

    place = models.ForeignKey(Place, on_delete=models.CASCADE, related_name="removals")
    freed = models.PositiveBigIntegerField(null=True, blank=True, help_text="Bytes.")

    class Meta:
        ordering = ("-asked_at", "-pk")

    def __str__(self) -> str:
        return f"Deletion of {self.place}"


class JobInputQuerySet(models.QuerySet["JobInput"]):
    def awaited(self) -> Self:
        """Those that are to be made yet, by their source."""
        return self.filter(artifact=None)


class JobInput(models.Model):
    """One of the artifacts that a job reads, and as what.

    What a job before it has yet to make has no artifact: ``source`` is then the job to wait for,
    and the artifact is filled in when this one starts.
    """

    class Role(models.TextChoices):
        MODEL = "model", "Model to train"
        CRITIC = "critic", "Critic"
        REWARD_MODEL = "reward_model", "Reward model"
        DATA = "data", "Data"
        REWARD = "reward", "Reward function"
        CHECKPOINT = "checkpoint", "Checkpoint"
        SOURCE = "source", "Model"
        BASE = "base", "Base model"
        ADAPTER = "adapter", "Adapter"

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="inputs")
    artifact = models.ForeignKey(
        Artifact, on_delete=models.PROTECT, null=True, blank=True, related_name="readings"
    )
    source = models.ForeignKey(
        Job, on_delete=models.SET_NULL, null=True, blank=True, related_name="heirs",
        help_text="The job whose newest model is wanted.",
    )  # fmt: skip
    role = models.CharField(max_length=20, choices=Role.choices)

    objects = JobInputQuerySet.as_manager()

    class Meta:
        ordering = ("job", "pk")

    def __str__(self) -> str:
        return f"{self.get_role_display()} of job {self.job_id}"
