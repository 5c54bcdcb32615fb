import uuid
from pathlib import Path
from typing import Self

from django.conf import settings
from django.contrib.auth.models import User
from django.db import models
from django.db.models import OuterRef, Subquery
from django.urls import reverse

from datasets.formats.codes import reasons
from datasets.formats.encodings import UTF8
from platform_site.work.models import State, Work

MOST_NAMES = 20


class DatasetQuerySet(models.QuerySet["Dataset"]):
    def with_newest(self) -> Self:
        """Annotate each with ``newest``, the number of its newest version that is ready."""
        newest = Version.objects.ready().filter(dataset=OuterRef("pk")).order_by("-number")
        return self.annotate(
            newest=Subquery(newest.values("number")[:1]),
            newest_target=Subquery(newest.values("target")[:1]),
            newest_rows=Subquery(newest.values("rows_train")[:1]),
        )


class Dataset(models.Model):
    """A name for data; jobs read its versions."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    name = models.CharField(max_length=100, unique=True)
    description = models.TextField(blank=True)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True
    )
    is_sample = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = DatasetQuerySet.as_manager()

    class Meta:
        ordering = ("name",)
        verbose_name = "data set"

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("datasets:detail", args=[self.pk])

    @property
    def folder(self) -> Path:
        return Path(settings.TRAINYARD_HOME) / "datasets" / str(self.uuid)

    def can_change(self, user: User) -> bool:
        return user.is_staff or self.owner_id == user.pk


class SourceQuerySet(models.QuerySet["Source"]):
    def ready(self) -> Self:
        return self.filter(state=State.DONE)


class Source(Work):
    """Rows as they were imported, unchanged; versions are compiled from them."""

    class Origin(models.TextChoices):
        UPLOAD = "upload", "Upload"
        FOLDER = "folder", "File on this machine"
        HUB = "hub", "Hugging Face"

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    dataset = models.ForeignKey(
        Dataset, on_delete=models.CASCADE, related_name="sources", verbose_name="data set"
    )
    origin = models.CharField(max_length=10, choices=Origin.choices)
    name = models.CharField(max_length=500, help_text="The file's name, or the hub's.")
    path = models.CharField(
        max_length=1000, blank=True, help_text="Where the original lies until it is imported."
    )
    encoding = models.CharField(max_length=20, default=UTF8, help_text="That of its text.")
    size = models.PositiveBigIntegerField(null=True, blank=True, help_text="Bytes.")
    sha256 = models.CharField(max_length=64, blank=True)
    rows = models.PositiveBigIntegerField(null=True, blank=True)
    facts = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField(auto_now_add=True, db_index=True)

    objects = SourceQuerySet.as_manager()

    class Meta:
        ordering = ("-created_at", "-pk")

    def __str__(self) -> str:
        return self.name

    @property
    def folder(self) -> Path:
        return self.dataset.folder / "sources" / str(self.uuid)

    @property
    def reasons(self) -> list[str]:
        """Why rows could not be read, and how often."""
        return reasons(self.facts.get("problem_counts", {}))

    @property
    def fields_shown(self) -> list[str]:
        """The names of its first fields, and how many there are besides."""
        names = list(self.facts.get("fields", {}))
        more = len(names) - MOST_NAMES
        return [*names[:MOST_NAMES], *([f"and {more} more"] if more > 0 else [])]

    @property
    def rows_file(self) -> Path:
        return self.folder / "rows.parquet"


class VersionQuerySet(models.QuerySet["Version"]):
    def ready(self) -> Self:
        return self.filter(state=State.DONE)

    def for_target(self, target: str) -> Self:
        return self.filter(target=target)

    def newest_first(self) -> Self:
        return self.order_by("dataset__name", "-number")


class Target(models.TextChoices):
    SFT = "sft", "Conversations (SFT)"
    RL = "rl", "Prompts with answers (RL)"
    DPO = "dpo", "Preferences (DPO)"


class Version(Work):
    """Data that a trainer reads. It never changes once it is ready."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    dataset = models.ForeignKey(
        Dataset, on_delete=models.CASCADE, related_name="versions", verbose_name="data set"
    )
    number = models.PositiveIntegerField()
    source = models.ForeignKey(
        Source, on_delete=models.PROTECT, null=True, blank=True, related_name="versions"
    )
    parent = models.ForeignKey(
        "self", on_delete=models.PROTECT, null=True, blank=True, related_name="children"
    )
    target = models.CharField(max_length=10, choices=Target.choices)
    mapping = models.JSONField(default=dict, blank=True)
    options = models.JSONField(
        default=dict, blank=True, help_text="The split, and what cleaning drops."
    )
    train_file = models.CharField(max_length=1000, blank=True)
    val_file = models.CharField(max_length=1000, blank=True)
    rows_train = models.PositiveBigIntegerField(null=True, blank=True)
    rows_val = models.PositiveBigIntegerField(null=True, blank=True)
    rows_removed = models.PositiveBigIntegerField(default=0)
    sha256 = models.CharField(max_length=64, blank=True)
    problems = models.JSONField(default=dict, blank=True, help_text="Rows that did not convert.")
    created_at = models.DateTimeField(auto_now_add=True, db_index=True)

    objects = VersionQuerySet.as_manager()

    class Meta:
        ordering = ("dataset", "-number")
        constraints = [
            models.UniqueConstraint(fields=["dataset", "number"], name="version_number_once"),
        ]

    def __str__(self) -> str:
        return self.label

    def get_absolute_url(self) -> str:
        return reverse("datasets:version", args=[self.dataset_id, self.number])

    @property
    def label(self) -> str:
        return f"{self.dataset.name}@{self.number}"

    @property
    def folder(self) -> Path:
        return self.dataset.folder / "versions" / str(self.uuid)

    @property
    def reasons(self) -> list[str]:
        """Why rows were left out, and how often."""
        return reasons(self.problems.get("counts", {}))

    @property
    def lost(self) -> dict[str, int]:
        """What of its source it does not hold: name -> rows."""
        found: dict[str, int] = self.problems.get("lost", {})
        return found

    @property
    def removed_file(self) -> Path:
        return self.folder / "removed.parquet"


class Report(Work):
    """A check of a version, with the tokenizer and the length that it used."""

    version = models.ForeignKey(Version, on_delete=models.CASCADE, related_name="reports")
    model = models.CharField(max_length=500, blank=True, help_text="Whose tokenizer counts.")
    max_length = models.PositiveIntegerField(null=True, blank=True)
    data = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField(auto_now_add=True, db_index=True)

    class Meta:
        ordering = ("-created_at", "-pk")

    def __str__(self) -> str:
        return f"Check of {self.version}"
