"""What is asked of the queue's page: which part of it, and what to do with a job."""

from typing import Any

from django import forms
from django.contrib.auth.models import User

from compute.models import Machine
from jobs.models import Job, Priority
from platform_site.fields import one_line


class FilterForm(forms.Form):
    """Which queues and whose jobs; what is not there counts as not asked."""

    machine = forms.ModelChoiceField(
        Machine.objects.all(), required=False, empty_label="Every machine"
    )
    owner = forms.ModelChoiceField(
        User.objects.none(), required=False, to_field_name="username", empty_label="Everybody"
    )

    def __init__(self, data: Any) -> None:
        super().__init__(data)
        owners = Job.objects.order_by().values("owner")
        people: Any = self.fields["owner"]
        people.queryset = User.objects.filter(pk__in=owners).order_by("username")
        self.is_valid()

    def asked(self, name: str) -> Any:
        return self.cleaned_data.get(name)


class HoldForm(forms.Form):
    why = forms.CharField(required=False, max_length=200, validators=[one_line])


class PriorityForm(forms.Form):
    priority = forms.TypedChoiceField(
        choices=[(choice.name.lower(), choice.label) for choice in Priority],
        coerce=lambda name: Priority[name.upper()],
    )


class MoveForm(forms.Form):
    """A place in line, or a job to go before or behind."""

    to = forms.ChoiceField(
        required=False, choices=[(place, place) for place in ("up", "down", "first", "last")]
    )
    before = forms.IntegerField(required=False, min_value=1, max_value=2**63 - 1)
    behind = forms.IntegerField(required=False, min_value=1, max_value=2**63 - 1)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        given = [name for name in ("to", "before", "behind") if cleaned.get(name)]
        if not self.errors and len(given) != 1:
            raise forms.ValidationError("Say one place: up, down, first, last, or beside a job.")
        return cleaned
