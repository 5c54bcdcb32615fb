"""Forms for one version."""

from typing import Any

from django import forms
from django.contrib.auth.models import User

from datasets.forms import CODE
from platform_site.paths import open_to


class ModelField(forms.CharField):
    def __init__(self, **options: Any) -> None:
        super().__init__(
            label="Model",
            max_length=500,
            help_text="A folder in Hugging Face format; its tokenizer and chat template are used.",
            widget=forms.TextInput(attrs={**CODE, "list": "models"}),
            **options,
        )


class ModelForm(forms.Form):
    """With a field for a model that the user may read."""

    def __init__(self, user: User, data: Any = None) -> None:
        super().__init__(data)
        self.user = user

    def clean_model(self) -> str:
        text: str = self.cleaned_data["model"]
        if not text:
            return text
        try:
            real = open_to(self.user, text)
        except ValueError as error:
            raise forms.ValidationError(str(error)) from None
        if not real.is_dir():
            raise forms.ValidationError(f"There is no folder {text}.")
        return text


class CheckForm(ModelForm):
    model = ModelField(required=False)
    max_length = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=2**24,
        label="Longest row",
        help_text="In tokens. Without a model nothing is counted.",
    )

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if cleaned.get("max_length") and not cleaned.get("model") and not self.errors:
            self.add_error("model", "Tokens are counted by a model's tokenizer: name one.")
        return cleaned


class TokensForm(ModelForm):
    model = ModelField()
    file = forms.ChoiceField(choices=[("train", "Training"), ("val", "Validation")])
    row = forms.IntegerField(min_value=0, max_value=2**40)
    max_length = forms.IntegerField(
        required=False, min_value=1, max_value=2**24, label="Longest row"
    )
    truncation = forms.ChoiceField(
        required=False, choices=[(name, name) for name in ("error", "left", "right")]
    )

    def clean_truncation(self) -> str:
        return self.cleaned_data["truncation"] or "error"
