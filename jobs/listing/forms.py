from typing import Any

from django import forms

from jobs.archive.forms import TickedForm
from jobs.listing.columns import LONGEST, MOST, column_of
from jobs.listing.marks import tags_in
from jobs.models.jobs import LONGEST_NOTE
from platform_site.fields import one_line

LONGEST_TAGS = 500


class TagsField(forms.CharField):
    """Tags with blanks or commas between."""

    def __init__(self, **more: Any) -> None:
        super().__init__(max_length=LONGEST_TAGS, **more)

    def clean(self, value: Any) -> list[str]:
        return tags_in(super().clean(value))


class TagsForm(forms.Form):
    tags = TagsField(required=False)


class NoteForm(forms.Form):
    note = forms.CharField(required=False, max_length=LONGEST_NOTE)


class TagTickedForm(TickedForm):
    """Tags for all the jobs that are ticked."""

    tags = TagsField(error_messages={"required": "Write a tag beside the button first."})

    @property
    def first_error(self) -> str:
        return str(next(iter(next(iter(self.errors.values())))))


class ViewForm(forms.Form):
    name = forms.CharField(
        max_length=60,
        validators=[one_line],
        error_messages={"required": "Name the view to save it."},
    )
    query = forms.CharField(required=False, max_length=4000)


class ColumnsForm(forms.Form):
    """The columns that were chosen, in their order; empty fields are none."""

    def __init__(self, data: Any) -> None:
        super().__init__(data)
        self.names = [name for name in data.getlist("column") if name.strip()]

    def clean(self) -> dict[str, Any]:
        unknown = [name[:LONGEST] for name in self.names if not column_of(name.strip())]
        if unknown:
            raise forms.ValidationError(
                f"There is no column {unknown[0]}. A metric's is its name with :last, :best, :low "
                "or :high behind it; others are listed at the field."
            )
        if len(self.names) > MOST:
            raise forms.ValidationError(f"A list has at most {MOST} columns of your choice.")
        return super().clean() or {}
