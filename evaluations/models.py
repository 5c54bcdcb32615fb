"""What evaluations found."""

import uuid as uuids
from collections.abc import Iterator
from typing import Any, Self

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, User
from django.db import models
from django.urls import reverse

from datasets.models import Version
from evaluations.statistics.scores import Scores, unpacked
from jobs.models import Artifact, Job
from jobs.verl.better import is_higher_better


class EvaluationQuerySet(models.QuerySet["Evaluation"]):
    def visible_to(self, user: AbstractBaseUser | AnonymousUser) -> Self:
        return self.filter(job__in=Job.objects.visible_to(user))

    def listed(self) -> Self:
        """Without what each prompt scored, which may be large."""
        return self.defer("scores").select_related("job", "artifact__job", "of_job")

    def readable(self) -> Self:
        """Those that found something."""
        return self.filter(fault="")


class Evaluation(models.Model):
    """One evaluation that has completed. Only those with the same evaluator and the same set of
    prompts may be put beside each other."""

    job = models.OneToOneField(Job, on_delete=models.CASCADE, related_name="evaluation")
    artifact = models.ForeignKey(
        Artifact, on_delete=models.SET_NULL, null=True, blank=True, related_name="evaluations",
        help_text="The model, where a job made it.",
    )  # fmt: skip
    of_job = models.ForeignKey(
        Job, on_delete=models.SET_NULL, null=True, blank=True, related_name="evaluations_of",
        help_text="The run whose checkpoint it is.",
    )  # fmt: skip
    of_step = models.PositiveBigIntegerField(null=True, blank=True)
    model = models.CharField(max_length=1000)
    adapter = models.CharField(max_length=1000, blank=True, help_text="What lay on the model.")
    way = models.CharField(max_length=20)
    set_name = models.CharField(max_length=200, blank=True)
    set_digest = models.CharField(max_length=64, blank=True)
    evaluator_digest = models.CharField(max_length=64, blank=True)
    evaluator = models.JSONField(default=dict, blank=True)
    metrics = models.JSONField(default=dict, blank=True)
    higher_is_better = models.JSONField(
        default=dict, blank=True,
        help_text="Of a figure, whether more of it is better, as its evaluator said.",
    )  # fmt: skip
    intervals = models.JSONField(
        default=dict, blank=True, help_text="Of each figure, between which bounds the truth lies."
    )
    counts = models.JSONField(default=dict, blank=True)
    left_out = models.JSONField(default=list, blank=True)
    seconds = models.JSONField(default=dict, blank=True)
    prompts = models.PositiveIntegerField(default=0)
    samples = models.PositiveIntegerField(default=1, help_text="The most answers of a prompt.")
    scores = models.BinaryField(null=True, blank=True, help_text="What each prompt scored.")
    fault = models.TextField(blank=True, help_text="Why nothing could be read.")
    kept_at = models.DateTimeField(auto_now=True)

    objects = EvaluationQuerySet.as_manager()

    class Meta:
        ordering = ("-kept_at", "-pk")
        indexes = [
            models.Index(fields=["set_digest", "evaluator_digest"], name="evaluations_of_a_set"),
        ]

    def __str__(self) -> str:
        return f"Evaluation of {self.subject}"

    def get_absolute_url(self) -> str:
        return f"{reverse('monitoring:run', args=[self.job_id])}#evaluation"

    @property
    def subject(self) -> str:
        """What was evaluated, as pages call it."""
        return f"{self._made} on {_last(self.model)}" if self.adapter else self._made

    @property
    def _made(self) -> str:
        """The artifact by its job and step, or else the folder."""
        if self.artifact and self.artifact.job:
            step = f", step {self.of_step}" if self.of_step is not None else ""
            return f"{self.artifact.job.name}{step}"
        return _last(self.adapter or self.model)

    @property
    def group(self) -> tuple[str, str]:
        """What results must have in common to stand in one column."""
        return self.set_digest, self.evaluator_digest

    @property
    def figures(self) -> "Iterator[tuple[str, float, list[float] | None]]":
        """Each figure with its bounds, where these are known."""
        for name, value in self.metrics.items():
            yield name, value, self.intervals.get(name)

    def is_higher_better(self, figure: str) -> bool | None:
        """Whether more of a figure is better, as its evaluator said, or else its name; None where
        neither does."""
        said = self.higher_is_better.get(figure)
        return said if isinstance(said, bool) else is_higher_better(figure)

    @property
    def rows(self) -> Scores | None:
        """What each prompt scored; None where nothing was kept. Raises ``NotScores``."""
        data: Any = self.scores
        return None if data is None else unpacked(bytes(data))


def sides_of(*evaluations: Evaluation) -> dict[str, bool]:
    """What the evaluators of any of these said of their figures: whether more is better."""
    return {name: side for each in evaluations for name, side in each.higher_is_better.items()}


def _last(path: str) -> str:
    """The last part of a path."""
    return path.rstrip("/").rpartition("/")[2] or path


class RuleQuerySet(models.QuerySet["Rule"]):
    def visible_to(self, user: AbstractBaseUser | AnonymousUser) -> Self:
        if isinstance(user, User) and user.is_staff:
            return self
        return self.filter(owner_id=user.pk)

    def on(self) -> Self:
        return self.filter(is_on=True, run__deleting_at=None)


class Rule(models.Model):
    """That each checkpoint of a run is evaluated, also those that are saved later. ``spec`` is what
    each evaluation is asked, but for the model; ``done`` are the steps that have a job."""

    uuid = models.UUIDField(default=uuids.uuid4, unique=True, editable=False)
    run = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="evaluation_rules")
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    name = models.CharField(
        max_length=200, blank=True, help_text="What its evaluations are called."
    )
    spec = models.JSONField()
    dataset_version = models.ForeignKey(
        Version, on_delete=models.PROTECT, null=True, blank=True, related_name="+",
        verbose_name="data set version",
    )  # fmt: skip
    is_on = models.BooleanField(default=True)
    done = models.JSONField(default=list, blank=True)
    problem = models.TextField(blank=True, help_text="Why the last checkpoint has no evaluation.")
    created_at = models.DateTimeField(auto_now_add=True)

    objects = RuleQuerySet.as_manager()

    class Meta:
        ordering = ("-created_at", "-pk")

    def __str__(self) -> str:
        return f"Every checkpoint of {self.run}"
