"""Chains: steps that follow each other, each an ordinary job or a decision about what jobs made."""

import uuid as uuids
from datetime import timedelta
from pathlib import PurePosixPath
from typing import Self, TypeVar

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, User
from django.db import models
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import cached_property

from compute.models import Machine
from evaluations.steps.reading import read_chain
from evaluations.steps.step import Recipe
from jobs.models import Job, Status

LONGEST_NAME = 150
LONGEST_LABEL = 300


Row = TypeVar("Row", bound=models.Model)


class OwnedQuerySet(models.QuerySet[Row]):
    def visible_to(self, user: AbstractBaseUser | AnonymousUser) -> Self:
        if isinstance(user, User) and user.is_staff:
            return self
        return self.filter(owner_id=user.pk)


class Every(models.TextChoices):
    NEVER = "", "Only when asked"
    HOUR = "hour", "Every hour"
    DAY = "day", "Every day"
    WEEK = "week", "Every week"


SPANS = {Every.HOUR: timedelta(hours=1), Every.DAY: timedelta(days=1), Every.WEEK: timedelta(7)}


class ChainRecipe(models.Model):
    """A chain that a user keeps, to start it again, by hand or at set times."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    name = models.CharField(max_length=LONGEST_NAME)
    text = models.TextField(help_text="YAML.")
    machine = models.ForeignKey(
        Machine, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    every = models.CharField(max_length=4, choices=Every.choices, blank=True, default=Every.NEVER)
    next_at = models.DateTimeField(null=True, blank=True, db_index=True)
    problem = models.TextField(blank=True, help_text="Why it did not start at its last set time.")
    created_at = models.DateTimeField(auto_now_add=True)
    changed_at = models.DateTimeField(auto_now=True)

    objects = OwnedQuerySet["ChainRecipe"].as_manager()

    class Meta:
        ordering = ("name", "pk")
        constraints = [
            models.UniqueConstraint(fields=["owner", "name"], name="chain_recipe_named_once"),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("evaluations:chain_recipe", args=[self.pk])


class Chain(models.Model):
    """One start of a recipe, whose text it keeps as it was.

    ``claimed_until`` is set while a worker moves it on, so that two do not do so at once.
    """

    class State(models.TextChoices):
        RUNNING = "running", "Running"
        COMPLETED = "completed", "Completed"
        FAILED = "failed", "Failed"
        STOPPED = "stopped", "Stopped"

    uuid = models.UUIDField(default=uuids.uuid4, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    name = models.CharField(max_length=LONGEST_NAME)
    text = models.TextField(help_text="YAML.")
    kept = models.ForeignKey(
        ChainRecipe, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    machine = models.ForeignKey(Machine, on_delete=models.PROTECT, related_name="+")
    state = models.CharField(
        max_length=9, choices=State.choices, default=State.RUNNING, db_index=True
    )
    reason = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True, db_index=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    claimed_until = models.DateTimeField(null=True, blank=True)

    objects = OwnedQuerySet["Chain"].as_manager()

    class Meta:
        ordering = ("-created_at", "-pk")
        constraints = [
            models.UniqueConstraint(fields=["owner", "uuid"], name="chain_asked_once"),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("evaluations:chain", args=[self.pk])

    @cached_property
    def recipe(self) -> Recipe:
        """It was read before the chain was made, and is not changed."""
        return read_chain(self.text)

    @property
    def is_running(self) -> bool:
        return self.state == self.State.RUNNING

    @property
    def can_resume(self) -> bool:
        return self.state in (self.State.FAILED, self.State.STOPPED)

    @property
    def elapsed(self) -> timedelta:
        return (self.ended_at or timezone.now()) - self.created_at


class Part(models.Model):
    """One job of a step, or one model about which a step decides.

    ``of`` are the parts of earlier steps whose models it works on. It is done once ``done_at`` is
    set; ``path`` is then the model that it left, on ``machine``. ``failure`` says why it never will
    be. ``asked`` keeps the number of its job, should that be deleted.
    """

    chain = models.ForeignKey(Chain, on_delete=models.CASCADE, related_name="parts")
    step = models.CharField(max_length=40)
    nr = models.PositiveSmallIntegerField()
    label = models.CharField(
        max_length=LONGEST_LABEL, blank=True, help_text="Of several parts, which."
    )
    values = models.JSONField(default=dict, help_text="The fields in which it differs.")
    base = models.CharField(
        max_length=1000, blank=True, help_text="A model that was there before the chain."
    )
    of = models.ManyToManyField("self", symmetrical=False, blank=True, related_name="leads_to")
    job = models.ForeignKey(Job, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    asked = models.PositiveBigIntegerField(null=True, blank=True)
    attempt = models.PositiveSmallIntegerField(default=1)
    machine = models.ForeignKey(
        Machine, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    path = models.CharField(max_length=1000, blank=True)
    done_at = models.DateTimeField(null=True, blank=True)
    failure = models.TextField(blank=True)
    said = models.TextField(blank=True, help_text="What was decided, and why.")

    class Meta:
        ordering = ("chain", "pk")
        constraints = [
            models.UniqueConstraint(fields=["chain", "step", "nr"], name="part_made_once"),
        ]

    def __str__(self) -> str:
        return f"{self.step} {self.label}".strip()

    @property
    def uuid(self) -> uuids.UUID:
        """That of its job: the same however often it is asked for, so there is one job."""
        return self._uuid(self.attempt)

    @property
    def former_uuids(self) -> list[uuids.UUID]:
        """Those of the jobs that it had before this attempt."""
        return [self._uuid(attempt) for attempt in range(1, self.attempt)]

    def _uuid(self, attempt: int) -> uuids.UUID:
        name = f"{self.chain.owner_id} {self.step} {self.nr} {attempt}"
        return uuids.uuid5(self.chain.uuid, name)

    def fail(self, why: str) -> None:
        self.failure = why
        self.save(update_fields=["failure"])

    def begin_anew(self) -> None:
        """Forget what it left: it is asked for once more, or decided again."""
        self.attempt += self.asked is not None
        self.job, self.asked, self.machine, self.done_at = None, None, None, None
        self.path = self.failure = self.said = ""
        self.save()

    @property
    def is_done(self) -> bool:
        return self.done_at is not None

    @property
    def is_gone(self) -> bool:
        """Whether its job was deleted before it was done."""
        return self.asked is not None and self.job is None and not self.is_done

    @property
    def is_lost(self) -> bool:
        """Whether its job was deleted, or is being, after it was done."""
        is_going = self.job is not None and self.job.deleting_at is not None
        return self.is_done and self.asked is not None and (self.job is None or is_going)

    def has_model_of(self, other: "Part") -> bool:
        """Whether both left the same model: the folder of the one is, or lies within, that of the
        other, as the model of a checkpoint lies within it."""
        if not self.path or not other.path or self.machine_id != other.machine_id:
            return False
        own, others = PurePosixPath(self.path), PurePosixPath(other.path)
        return own.is_relative_to(others) or others.is_relative_to(own)

    @property
    def why_failed(self) -> str:
        """Why it will not be done unless the chain is resumed; empty while it may be."""
        if self.is_done or self.failure:
            return self.failure
        if self.is_gone:
            return f"job {self.asked} was deleted"
        if self.job and self.job.is_over and self.job.status != Status.COMPLETED:
            return f"job {self.job.pk} {_ended(self.job)}"
        return ""


def _ended(job: Job) -> str:
    said = {Status.FAILED: "failed", Status.STOPPED: "was stopped", Status.LOST: "was lost"}
    reason = f": {job.reason}" if job.reason else ""
    return f"{said.get(Status(job.status), 'ended')}{reason}"
