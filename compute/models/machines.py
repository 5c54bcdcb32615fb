from datetime import datetime, timedelta
from pathlib import PurePosixPath
from typing import Any, Self

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone

from platform_site.secrets import EncryptedTextField
from platform_site.work.models import Work

PORTS = [MinValueValidator(1), MaxValueValidator(65535)]
# A check that was asked for and gave no result for so long is taken for dead.
SILENT_AFTER = 420  # seconds; longer than any one question to a machine
# No run is started in this time before a rental ends: a first checkpoint is assumed to take as
# long, where none has been measured.
CHECKPOINT_TAKES = timedelta(minutes=5)


def when(moment: datetime | None) -> str:
    """A moment in the site's time zone, to the minute."""
    return timezone.localtime(moment).strftime("%Y-%m-%d %H:%M %Z") if moment else "no time"


class MachineQuerySet(models.QuerySet["Machine"]):
    def kept(self) -> Self:
        """Without those that were removed and stay for the history of their jobs only."""
        return self.filter(is_retired=False)

    def ready(self) -> Self:
        """Those that may be connected to."""
        return self.kept().filter(~Q(kind=Machine.Kind.SSH) | ~Q(host_key=""))

    def for_jobs(self) -> Self:
        """Those that a job may be sent to: there is an environment, or one is named."""
        return self.ready().exclude(python="")


class Machine(models.Model):
    class Kind(models.TextChoices):
        LOCAL = "local", "This machine"
        SSH = "ssh", "SSH"
        RAY = "ray", "Ray cluster"
        GROUP = "group", "SSH machines together"

    name = models.CharField(max_length=100, unique=True)
    kind = models.CharField(max_length=10, choices=Kind.choices, default=Kind.LOCAL)
    host = models.CharField(max_length=253, blank=True, help_text="Name or address.")
    port = models.PositiveIntegerField(default=22, validators=PORTS)
    user = models.CharField(max_length=100, blank=True, help_text="An ordinary user is enough.")
    host_key = models.TextField(blank=True, help_text="As it was confirmed; empty before that.")
    fingerprint = models.CharField(max_length=100, blank=True)
    confirmed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    confirmed_at = models.DateTimeField(null=True, blank=True)
    jump_host = models.CharField(max_length=253, blank=True, help_text="Reached first, when set.")
    jump_port = models.PositiveIntegerField(default=22, validators=PORTS)
    jump_user = models.CharField(max_length=100, blank=True, help_text="Empty: the same user.")
    jump_host_key = models.TextField(blank=True)
    jump_fingerprint = models.CharField(max_length=100, blank=True)
    ray_address = models.CharField(
        max_length=500, blank=True, help_text="Of the dashboard: http://head:8265."
    )
    rental_ends_at = models.DateTimeField(
        null=True, blank=True, help_text="When the rented machine is taken away."
    )
    workdir = models.CharField(max_length=500, help_text="Runs are kept below this folder.")
    python = models.CharField(
        max_length=500, blank=True, help_text="The Python that has verl and trainyard_node."
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
    checks = models.JSONField(default=list, blank=True, help_text="What the last check found.")
    facts = models.JSONField(default=dict, blank=True, help_text="What was last known of it.")
    check_asked_at = models.DateTimeField(null=True, blank=True)
    checked_at = models.DateTimeField(null=True, blank=True)
    unreachable_since = models.DateTimeField(null=True, blank=True)
    unreachable_reason = models.TextField(blank=True)
    seen_at = models.DateTimeField(null=True, blank=True)
    is_retired = models.BooleanField(
        default=False, help_text="Removed: kept for the history of its jobs."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    changed_at = models.DateTimeField(default=timezone.now)

    objects = MachineQuerySet.as_manager()

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("compute:detail", args=[self.pk])

    def attempt_dir(self, run_id: object, attempt: int) -> str:
        return str(PurePosixPath(self.workdir) / "runs" / str(run_id) / f"attempt-{attempt}")

    @property
    def is_local(self) -> bool:
        return self.kind == self.Kind.LOCAL

    @property
    def is_group(self) -> bool:
        return self.kind == self.Kind.GROUP

    @property
    def is_ray(self) -> bool:
        return self.kind == self.Kind.RAY

    @property
    def address(self) -> str:
        if self.is_local or self.is_group:
            return ""
        if self.is_ray:
            return self.ray_address
        shown = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.user}@{shown}" + (f":{self.port}" if self.port != 22 else "")

    @property
    def is_confirmed(self) -> bool:
        """Whether a user said that the machine at this address is the right one."""
        return self.kind != self.Kind.SSH or bool(self.host_key)

    @property
    def state(self) -> str:
        """One word for what is known of the machine's whereabouts."""
        if self.is_retired:
            return "removed"
        if not self.is_confirmed:
            return "unconfirmed"
        if self.unreachable_since or self.away:
            return "unreachable"
        return "reachable" if self.is_local or self.is_group or self.seen_at else "unseen"

    @property
    def away(self) -> list["Machine"]:
        """The machines of a group that do not answer."""
        if not self.is_group:
            return []
        members = [each.machine for each in self.memberships.all()]
        return [machine for machine in members if machine.unreachable_since]

    @property
    def starts_nothing(self) -> str:
        """Why no run is started there now; empty when runs are."""
        if self.unreachable_since:
            gone = (
                f": its rental ended at {when(self.rental_ends_at)}" if self.rental_is_over else ""
            )
            return f"{self} is unreachable{gone}."
        if closed := self.rental_closes:
            return closed
        if self.is_group:
            members = (each.machine for each in self.memberships.select_related("machine"))
            return next((why for why in (one.starts_nothing for one in members) if why), "")
        work = None if self.is_local else SetUp.objects.filter(machine=self).first()
        return f"The environment of {self} is being made." if work and work.is_busy else ""

    @property
    def rental_is_over(self) -> bool:
        return self.rental_ends_at is not None and self.rental_ends_at <= timezone.now()

    @property
    def rental_closes(self) -> str:
        """Why the end of its rental keeps every run from starting; empty when it does not."""
        if self.rental_ends_at is None:
            return ""
        if self.rental_is_over:
            return f"The rental of {self} ended at {when(self.rental_ends_at)}."
        if self.rental_ends_at - timezone.now() < CHECKPOINT_TAKES:
            return (
                f"The rental of {self} ends at {when(self.rental_ends_at)}: too soon for a run to "
                "save a checkpoint."
            )
        return ""

    @property
    def why_unreachable(self) -> str:
        """Why the machine does not answer; that it was taken away is named first."""
        if self.unreachable_since and self.rental_is_over:
            return f"Its rental ended at {when(self.rental_ends_at)}. {self.unreachable_reason}"
        return self.unreachable_reason

    @property
    def is_being_checked(self) -> bool:
        asked, done = self.check_asked_at, self.checked_at
        if asked is None or (done and done >= asked):
            return False
        return (timezone.now() - asked).total_seconds() < SILENT_AFTER


class MachineSecret(models.Model):
    """One secret of the account on a machine, or on the one before it. Shown to no one."""

    class Name(models.TextChoices):
        PASSWORD = "password", "Password"
        PRIVATE_KEY = "private_key", "Private key"
        PASSPHRASE = "passphrase", "Passphrase of the key"  # a name
        JUMP_PASSWORD = "jump_password", "Password of the jump host"
        JUMP_PRIVATE_KEY = "jump_private_key", "Private key of the jump host"
        JUMP_PASSPHRASE = "jump_passphrase", "Passphrase of the jump host's key"

    machine = models.ForeignKey(Machine, on_delete=models.CASCADE, related_name="secrets")
    name = models.CharField(max_length=20, choices=Name.choices)
    value = EncryptedTextField()
    set_at = models.DateTimeField()

    class Meta:
        ordering = ("machine", "name")
        constraints = [
            models.UniqueConstraint(fields=["machine", "name"], name="machine_secret_once"),
        ]

    def __str__(self) -> str:
        return f"{self.get_name_display()} of {self.machine}"

    @property
    def label(self) -> str:
        """Its name within a sentence. A Ray cluster keeps its token as its password."""
        return "token" if self.machine.is_ray else self.get_name_display().lower()


class SetUp(Work):
    """The last time that a training environment was made on a machine, and how far it came."""

    CAN_REPEAT = True

    machine = models.OneToOneField(Machine, on_delete=models.CASCADE, related_name="set_up")
    step = models.CharField(max_length=200, blank=True, help_text="What is done now.")
    log = models.TextField(blank=True, help_text="The last lines that it printed.")

    class Meta:
        ordering = ("-asked_at",)

    def __str__(self) -> str:
        return f"Set-up of {self.machine}"


class MachineSample(models.Model):
    machine = models.ForeignKey(Machine, on_delete=models.CASCADE, related_name="samples")
    at = models.DateTimeField(db_index=True)
    data = models.JSONField(help_text="CPU, memory, disk and GPUs as they were measured.")

    class Meta:
        ordering = ("-at",)
        get_latest_by = "at"

    def __str__(self) -> str:
        return f"{self.machine_id} at {self.at:%F %T}"

    @property
    def shown(self) -> dict[str, Any]:
        return {"at": self.at, **self.data}

    @property
    def cpu(self) -> float | None:
        """None where it was not measured: a sample may come from anywhere."""
        found = self.data.get("cpu_percent")
        return found if isinstance(found, int | float) else None


class MachineEvent(models.Model):
    """What happened to a machine, when, by whom, and why. What its jobs did is in their events."""

    machine = models.ForeignKey(Machine, on_delete=models.CASCADE, related_name="events")
    at = models.DateTimeField()
    kind = models.CharField(max_length=40)
    who = models.CharField(max_length=150, blank=True)
    message = models.TextField(blank=True)
    data = models.JSONField(default=dict, blank=True)

    class Meta:
        ordering = ("at", "pk")
        indexes = [models.Index(fields=["machine", "at"])]

    def __str__(self) -> str:
        return f"{self.kind} at {self.at:%F %T}"


class Membership(models.Model):
    """A machine's place in a group. The first is the head: runs are started and kept there."""

    group = models.ForeignKey(Machine, on_delete=models.CASCADE, related_name="memberships")
    machine = models.ForeignKey(Machine, on_delete=models.PROTECT, related_name="in_groups")
    place = models.PositiveSmallIntegerField()
    address = models.CharField(
        max_length=253, blank=True, help_text="Where the others reach it; empty: its host."
    )

    class Meta:
        ordering = ("group", "place")
        constraints = [
            models.UniqueConstraint(fields=["group", "machine"], name="member_once"),
            models.UniqueConstraint(fields=["group", "place"], name="place_once"),
        ]

    def __str__(self) -> str:
        return f"{self.machine} in {self.group}"

    @property
    def inner_address(self) -> str:
        return self.address or self.machine.host
