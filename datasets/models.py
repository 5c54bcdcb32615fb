from django.db import models


class Dataset(models.Model):
    class Kind(models.TextChoices):
        SFT = "sft", "Conversations (SFT)"
        RL = "rl", "Prompts with answers (RL)"

    name = models.CharField(max_length=100, unique=True)
    kind = models.CharField(max_length=10, choices=Kind.choices)
    train_file = models.CharField(max_length=500)
    val_file = models.CharField(max_length=500)
    rows = models.PositiveBigIntegerField(null=True, blank=True)
    is_sample = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        from django.urls import reverse

        return reverse("datasets:detail", args=[self.pk])
