"""Recipes of users."""

from typing import Any

from django.conf import settings
from django.db import models

from jobs.kinds.registry import registry
from jobs.models.jobs import Job
from jobs.validators import known_kind


class SavedRecipe(models.Model):
    """A job's values, kept by its owner as a starting point for further jobs."""

    slug = models.SlugField(max_length=100, unique=True)
    title = models.CharField(max_length=200)
    purpose = models.TextField(blank=True)
    kind = models.CharField(max_length=30, validators=[known_kind])
    spec = models.JSONField(help_text="Knob values and free overrides.")
    is_sample = models.BooleanField(default=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="recipes"
    )
    base = models.CharField(
        max_length=100,
        blank=True,
        help_text="The recipe that its job began with; known when that job is deleted, too.",
    )
    job = models.ForeignKey(Job, on_delete=models.SET_NULL, null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("title", "pk")

    def __str__(self) -> str:
        return self.title

    @property
    def spec_of_kind(self) -> Any:
        """The spec as its kind reads it."""
        return registry().find(self.kind).read(self.spec)
