"""Forms for one version."""

from typing import Any

from django import forms

from datasets.forms import CODE
from platform_site.paths import inside


def model_folder(text: str) -> None:
    try:
        real = inside(text)
    except ValueError as error:
        raise forms.ValidationError(str(error)) from None
    if not real.is_dir():
        raise forms.ValidationError(f"There is no folder {text}.")


class ModelField(forms.CharField):
    def __init__(self, **options: Any) -> None:
        super().__init__(
            label="Model",
            max_length=500,
            validators=[model_folder],
            help_text="A folder in Hugging Face format; its tokenizer and chat template are used.",
            widget=forms.TextInput(attrs={**CODE, "list": "models"}),
            **options,
        )


class CheckForm(forms.Form):
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


class TokensForm(forms.Form):
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
