from django import forms


class DeleteForm(forms.Form):
    """``sure`` is the second word, asked for where something is lost that a job could need."""

    sure = forms.BooleanField(required=False)
