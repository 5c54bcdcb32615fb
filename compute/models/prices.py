from decimal import Decimal

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

from compute.models.machines import Machine

# In every currency an hour of a GPU or of a machine costs less.
HIGHEST_PRICE = Decimal(1_000_000)


class Price(models.Model):
    """What an hour costs: of one GPU of a card of the catalogue, or of a whole machine."""

    card = models.CharField(max_length=40, blank=True, help_text="Its name in the catalogue.")
    machine = models.OneToOneField(
        Machine, on_delete=models.CASCADE, null=True, blank=True, related_name="price"
    )
    per_hour = models.DecimalField(
        max_digits=11,
        decimal_places=4,
        validators=[MinValueValidator(0), MaxValueValidator(HIGHEST_PRICE)],
        help_text="Of one GPU, or of the whole machine.",
    )
    changed_at = models.DateTimeField()
    changed_by = models.CharField(max_length=150, blank=True)

    class Meta:
        ordering = ("card", "machine")
        constraints = [
            models.CheckConstraint(
                condition=Q(card="", machine__isnull=False)
                | (~Q(card="") & Q(machine__isnull=True)),
                name="price_of_one_thing",
                violation_error_message="A price is of a card or of a machine: name one of them.",
            ),
            models.UniqueConstraint(
                fields=["card"],
                condition=~Q(card=""),
                name="card_has_one_price",
                violation_error_message="This card has a price already: change that one.",
            ),
        ]

    def __str__(self) -> str:
        return f"Price of {self.card or self.machine}"

    @property
    def text(self) -> str:
        """The number alone, with two digits after the point, or as many as it has."""
        has_more = self.per_hour * 100 % 1
        return f"{self.per_hour.normalize():f}" if has_more else f"{self.per_hour:.2f}"
