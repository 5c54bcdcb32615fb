"""Sweeps: merges of one recipe that differ in one parameter."""

import uuid as uuids
from typing import Any, Self

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, User
from django.db import models
from django.db.models.signals import post_delete
from django.dispatch import receiver
from django.urls import reverse

from jobs.models import Job


class SweepQuerySet(models.QuerySet["Sweep"]):
    def visible_to(self, user: AbstractBaseUser | AnonymousUser) -> Self:
        if isinstance(user, User) and user.is_staff:
            return self
        return self.filter(owner_id=user.pk)


class Sweep(models.Model):
    """``recipe`` is the one that all were written from, ``over`` the range, as it was given.

    It goes with the last of its merges.
    """

    uuid = models.UUIDField(default=uuids.uuid4, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    name = models.CharField(max_length=200)
    recipe = models.TextField()
    parameter = models.CharField(max_length=100)
    over = models.CharField(max_length=200)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = SweepQuerySet.as_manager()

    class Meta:
        ordering = ("-created_at", "-pk")
        constraints = [
            models.UniqueConstraint(fields=["owner", "uuid"], name="sweep_asked_once"),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("surgery:sweep", args=[self.pk])


class Swept(models.Model):
    """One merge of a sweep. It goes with its job."""

    sweep = models.ForeignKey(Sweep, on_delete=models.CASCADE, related_name="merges")
    job = models.OneToOneField(Job, on_delete=models.CASCADE, related_name="+")
    value = models.FloatField()
    score = models.ForeignKey(
        Job, on_delete=models.SET_NULL, null=True, blank=True, related_name="+",
        help_text="The job that validates its model.",
    )  # fmt: skip

    class Meta:
        ordering = ("sweep", "value")

    def __str__(self) -> str:
        return f"{self.sweep.parameter} {self.value:g} of {self.sweep}"


@receiver(post_delete, sender=Swept)
def forget_sweep(instance: Swept, **_: Any) -> None:
    """Jobs are deleted by those who know of no sweeps."""
    Sweep.objects.filter(pk=instance.sweep_id, merges=None).delete()
