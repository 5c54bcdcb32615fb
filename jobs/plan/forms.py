"""What a plan is asked for: the goal, and the cards if the machine does not tell."""

from typing import Any

from django import forms

from compute.sizing.gpus import catalogue

PREFIX = "plan"  # its fields stand beside those of the job in one form
LABELS = {
    "fastest": "Fastest",
    "cheapest": "Cheapest, on as many GPUs or fewer",
    "safest": "Safest: most memory to spare, at most 1.5 times as slow",
    "longest": "Longest context",
    "fewest": "Fewest GPUs",
    "largest": "Largest model of the catalogue",
}
MOST_GPUS = 1024


class PlanForm(forms.Form):
    prefix = PREFIX
    goal = forms.ChoiceField(label="Goal", choices=list(LABELS.items()))
    gpu = forms.ChoiceField(label="GPU")
    gpus = forms.IntegerField(label="Number of GPUs", min_value=1, max_value=MOST_GPUS)

    def __init__(self, data: Any, initial: dict[str, Any], *, has_cards: bool) -> None:
        """``has_cards``: the machine's own are known."""
        super().__init__(data, initial=initial)
        known = [("", "Choose a GPU"), *((slug, gpu.name) for slug, gpu in catalogue().items())]
        self.fields["gpu"] = forms.ChoiceField(
            label="GPU",
            choices=known,
            help_text="" if has_cards else "The machine of the job has none that is known.",
            error_messages={"required": "Choose a GPU."},
        )
