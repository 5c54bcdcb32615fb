import uuid
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, User
from django.db import models
from django.db.models import ExpressionWrapper, F, Q
from django.db.models.functions import Coalesce, Now
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import cached_property

from compute.models import Machine
from datasets.models import Version
from jobs.kinds.base import JobKind
from jobs.kinds.registry import registry
from jobs.validators import known_kind
from platform_site.work.models import Work

if TYPE_CHECKING:
    from jobs.models.artifacts import JobInput
    from jobs.models.deletions import Deletion
    from jobs.models.gates import Gate
    from jobs.models.rehearsals import Rehearsal


class Status(models.TextChoices):
    DRAFT = "draft", "Draft"
    QUEUED = "queued", "Queued"
    STARTING = "starting", "Starting"
    RUNNING = "running", "Running"
    PAUSED = "paused", "Paused"
    COMPLETED = "completed", "Completed"
    FAILED = "failed", "Failed"
    STOPPED = "stopped", "Stopped"
    LOST = "lost", "Lost"


LONGEST_NOTE = 4000
HELD = "held"  # no status of its own: a queued job is held, and then released
ACTIVE = (Status.STARTING, Status.RUNNING)
ENDED = (Status.COMPLETED, Status.FAILED, Status.STOPPED, Status.LOST)
NEEDS_ATTENTION = (Status.FAILED, Status.LOST)
CAN_RESUME = (Status.PAUSED, Status.FAILED, Status.STOPPED, Status.LOST)


class Priority(models.IntegerChoices):
    HIGH = 10, "High"
    NORMAL = 0, "Normal"
    LOW = -10, "Low"


class JobQuerySet(models.QuerySet["Job"]):
    def visible_to(self, user: AbstractBaseUser | AnonymousUser) -> Self:
        if isinstance(user, User) and user.is_staff:
            return self
        return self.filter(owner_id=user.pk)

    def active(self) -> Self:
        return self.filter(status__in=ACTIVE)

    def standing(self, stands: str) -> Self:
        """Those that ``Job.stands`` so."""
        held = Q(status=Status.QUEUED, held_at__isnull=False)
        if stands == HELD:
            return self.filter(held)
        found = self.filter(status=stands)
        return found.exclude(held) if stands == Status.QUEUED else found

    def underway(self) -> Self:
        """Those that are ``Job.is_underway``."""
        return self.filter(Q(status__in=(Status.QUEUED, *ACTIVE)) | Q(retry_at__isnull=False))

    def shown(self) -> Self:
        """Without those in the archive."""
        return self.filter(archived_at=None)

    def drafts(self) -> Self:
        """Those that can still be changed."""
        return self.filter(status=Status.DRAFT, deleting_at=None)

    def queued(self) -> Self:
        """In order: by priority, then as people moved them, then as they came."""
        placed = F("position").asc(nulls_last=True)
        return self.filter(status=Status.QUEUED).order_by("-priority", placed, "queued_at", "pk")

    def waiting_for(self, job: "Job") -> Self:
        """Queued until that job has ended, has made what they are to read, or has tried them."""
        readers = job.heirs.filter(artifact=None).values("job")
        gated = Q(rehearsals__run=job, rehearsals__must_pass=True) | Q(gate__on=job)
        found = self.filter(Q(after=job) | Q(pk__in=readers) | gated, status=Status.QUEUED)
        return found.distinct()

    def with_duration(self) -> Self:
        span = Coalesce("ended_at", Now()) - F("started_at")
        return self.annotate(duration=ExpressionWrapper(span, models.DurationField()))


class Job(models.Model):
    """One supervised process on a machine, from the user's wish to its end."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    name = models.CharField(max_length=200)
    kind = models.CharField(max_length=30, validators=[known_kind])
    recipe = models.CharField(max_length=100, blank=True)
    spec = models.JSONField(help_text="Knob values and free overrides.")
    command = models.JSONField(
        null=True, blank=True, help_text="What was started, exactly; empty before."
    )
    status = models.CharField(
        max_length=10, choices=Status.choices, default=Status.DRAFT, db_index=True
    )
    reason = models.TextField(blank=True)
    attempt = models.PositiveIntegerField(default=1)
    # Compute lies below jobs: a machine has no relation back to them.
    machine = models.ForeignKey(Machine, on_delete=models.PROTECT, related_name="+")
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT)
    after = models.ForeignKey("self", on_delete=models.SET_NULL, null=True, blank=True)
    cloned_from = models.ForeignKey(
        "self", on_delete=models.SET_NULL, null=True, blank=True, related_name="clones",
        help_text="Whose settings its form began with.",
    )  # fmt: skip
    gpus = models.PositiveSmallIntegerField(
        default=0, help_text="Devices that it needs; 0 is a slot of the CPU."
    )
    priority = models.SmallIntegerField(choices=Priority.choices, default=Priority.NORMAL)
    # Within its machine and priority; none is behind all that have one.
    position = models.PositiveIntegerField(null=True, blank=True)
    held_at = models.DateTimeField(null=True, blank=True)
    held_by = models.CharField(max_length=150, blank=True)
    held_why = models.CharField(max_length=200, blank=True)
    dataset_version = models.ForeignKey(
        Version, on_delete=models.PROTECT, null=True, blank=True, related_name="jobs",
        verbose_name="data set version",
    )  # fmt: skip
    is_sample = models.BooleanField(default=False)
    note = models.TextField(blank=True, max_length=LONGEST_NOTE, help_text="What people say of it.")
    archived_at = models.DateTimeField(null=True, blank=True, db_index=True)
    deleting_at = models.DateTimeField(
        null=True, blank=True, help_text="Since when it is being deleted."
    )

    steps = models.PositiveIntegerField(null=True, blank=True, help_text="Promised.")
    step = models.PositiveIntegerField(default=0, help_text="Seen in the metrics.")
    step_at = models.DateTimeField(null=True, blank=True)
    anchor_step = models.PositiveIntegerField(null=True, blank=True)
    anchor_at = models.DateTimeField(null=True, blank=True)
    exit_code = models.IntegerField(null=True, blank=True)
    recent_steps = models.JSONField(default=list, blank=True, help_text="[[step, epoch], …]")
    stalled_step = models.PositiveIntegerField(null=True, blank=True)
    silent_since = models.DateTimeField(null=True, blank=True)
    listing_due = models.BooleanField(default=False, help_text="There may be a new checkpoint.")
    # Grows with every change, so that a page knows what it has not seen yet.
    revision = models.PositiveBigIntegerField(default=1)

    created_at = models.DateTimeField(auto_now_add=True, db_index=True)
    queued_at = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    stop_asked_at = models.DateTimeField(null=True, blank=True)
    pause_asked_at = models.DateTimeField(null=True, blank=True)
    then_stop = models.BooleanField(default=False, help_text="The pause that was asked is an end.")

    resume_step = models.PositiveIntegerField(
        null=True, blank=True, help_text="Of the checkpoint to go on from; empty: the newest whole."
    )
    resume_from = models.CharField(
        max_length=1000, blank=True, help_text="The checkpoint that this attempt began with."
    )
    seconds_before = models.FloatField(default=0, help_text="That earlier attempts took.")
    retries = models.PositiveSmallIntegerField(
        default=0, help_text="Times that a crash may be answered by going on."
    )
    retried = models.PositiveSmallIntegerField(default=0)
    retry_at = models.DateTimeField(null=True, blank=True)
    last_error = models.TextField(blank=True, help_text="With its step: the same twice is final.")
    max_seconds = models.PositiveIntegerField(
        null=True, blank=True, help_text="All attempts together may take so long."
    )

    objects = JobQuerySet.as_manager()

    class Meta:
        ordering = ("-created_at", "-pk")

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("monitoring:run", args=[self.pk])

    @property
    def job_kind(self) -> JobKind:
        return registry().find(self.kind)

    @property
    def kind_label(self) -> str:
        return self.job_kind.label

    @property
    def spec_of_kind(self) -> Any:
        """The spec as its kind reads it."""
        return self.job_kind.read(self.spec)

    @property
    def verl(self) -> str:
        """The release of verl that it runs with."""
        return self.job_kind.release(self.spec_of_kind) or self.machine.verl

    @property
    def run_dir(self) -> str:
        return self.machine.attempt_dir(self.uuid, self.attempt)

    @property
    def is_held(self) -> bool:
        return self.status == Status.QUEUED and self.held_at is not None

    @property
    def why_held(self) -> str:
        """By whom and why, in a sentence; empty when it is not held."""
        why = f": {self.held_why}" if self.held_why else ""
        return f"Held by {self.held_by}{why}." if self.is_held else ""

    @property
    def stands(self) -> str:
        """The status as pages and commands show it: one that is held waits for a person."""
        return HELD if self.is_held else self.status

    @property
    def stands_label(self) -> str:
        return HELD.capitalize() if self.is_held else str(self.get_status_display())

    @property
    def is_active(self) -> bool:
        return self.status in ACTIVE

    @property
    def has_ended(self) -> bool:
        return self.status in ENDED

    @property
    def is_over(self) -> bool:
        """Whether it has ended, and does not go on by itself."""
        return self.has_ended and self.retry_at is None

    @property
    def may_change(self) -> bool:
        """Whether something may happen to it without a user asking for it on its page."""
        waits = self.status in (Status.QUEUED, Status.PAUSED) or self.retry_at is not None
        return self.is_active or waits

    @property
    def is_stalled(self) -> bool:
        return self.is_active and self.stalled_step == self.step

    @property
    def can_start(self) -> bool:
        return self.status == Status.DRAFT and self.deleting_at is None

    @property
    def can_stop(self) -> bool:
        if self.retry_at is not None:
            return True  # it would go on by itself
        ways = (Status.QUEUED, Status.PAUSED, *ACTIVE)
        return self.status in ways and self.stop_asked_at is None

    @property
    def can_pause(self) -> bool:
        asked = self.pause_asked_at or self.stop_asked_at
        return self.status == Status.RUNNING and not asked and not self.cannot_save

    @property
    def cannot_save(self) -> str:
        """Why this run cannot be asked for a checkpoint; empty when it can."""
        return self.job_kind.cannot_save(self.spec_of_kind)

    @property
    def can_resume(self) -> bool:
        if self.job_kind.ran_elsewhere:
            return False
        began = self.started_at is not None or self.attempt > 1
        return self.status in CAN_RESUME and began and self.deleting_at is None

    @property
    def is_underway(self) -> bool:
        """Whether it runs or waits, or would run by itself: it is stopped before it is put away."""
        return self.is_active or self.status == Status.QUEUED or self.retry_at is not None

    @property
    def percent(self) -> float | None:
        return min(100.0, 100 * self.step / self.steps) if self.steps else None

    @property
    def elapsed(self) -> timedelta | None:
        """Over all attempts; the time between them does not count."""
        if self.started_at is None:
            return timedelta(seconds=self.seconds_before) if self.seconds_before else None
        this = (self.ended_at or timezone.now()) - self.started_at
        return this + timedelta(seconds=self.seconds_before)

    @property
    def seconds_per_step(self) -> float | None:
        """Mean since the first step that was seen; start-up does not count."""
        if self.anchor_step is None or self.anchor_at is None or self.step_at is None:
            return None
        steps = self.step - self.anchor_step
        return (self.step_at - self.anchor_at).total_seconds() / steps if steps > 0 else None

    @property
    def time_left(self) -> timedelta | None:
        pace = self.seconds_per_step
        if not self.is_active or pace is None or self.steps is None:
            return None
        return timedelta(seconds=pace * max(0, self.steps - self.step))

    @property
    def deletion(self) -> "Deletion | None":
        """The last time that somebody asked for it to be deleted."""
        return max(self.deletions.all(), key=lambda each: each.pk, default=None)

    @cached_property
    def awaited(self) -> "list[JobInput]":
        """What other jobs have yet to make before this one can start."""
        return list(self.inputs.awaited().select_related("source"))

    @cached_property
    def gates(self) -> "list[Rehearsal]":
        """The rehearsals that must pass before this one can start."""
        return list(self.rehearsals.gates().select_related("run"))

    @cached_property
    def shut_gate(self) -> "Gate | None":
        """What must be found of an evaluation before this one can start."""
        gate = getattr(self, "gate", None)  # Django raises where there is none
        return gate if gate and gate.passed_at is None and self.attempt == 1 else None

    @property
    def trains_on(self) -> bool:
        """Whether it begins with a model of the job that it came after."""
        return self.inputs.filter(source=self.after_id, source__isnull=False).exists()

    @cached_property
    def queue_position(self) -> int | None:
        if self.status != Status.QUEUED:
            return None
        line = Job.objects.queued().filter(machine=self.machine_id).values_list("pk", flat=True)
        places = {pk: place for place, pk in enumerate(line, 1)}
        return places.get(self.pk)  # it may have begun to start meanwhile


class Lease(models.Model):
    """A GPU that a job uses, from its start to its end. The database lets no other have it."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="leases")
    machine = models.ForeignKey(Machine, on_delete=models.CASCADE, related_name="+")
    device = models.PositiveSmallIntegerField()

    class Meta:
        ordering = ("machine", "device")
        constraints = [
            models.UniqueConstraint(fields=["machine", "device"], name="device_leased_once"),
        ]

    def __str__(self) -> str:
        return f"GPU {self.device} of {self.machine}"


class Fetch(Work):
    """A checkpoint of a far run that was asked for on this machine, and how far it came."""

    CAN_REPEAT = True

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="fetches")
    step = models.PositiveBigIntegerField()
    source = models.CharField(max_length=1000, help_text="The folder on the run's machine.")
    target = models.CharField(max_length=1000, help_text="The folder on this machine.")

    class Meta:
        ordering = ("job", "-step")
        verbose_name_plural = "fetches"
        constraints = [models.UniqueConstraint(fields=["job", "step"], name="step_fetched_once")]

    def __str__(self) -> str:
        return f"Step {self.step} of job {self.job_id}"

    @property
    def is_here(self) -> bool:
        return self.is_done and Path(self.target).is_dir()
