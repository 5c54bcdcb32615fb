from typing import Any

from django import forms

from platform_site.fields import one_line


class ImportForm(forms.Form):
    """Runs of another tool: an upload, or a file or folder on this machine."""

    file = forms.FileField(
        required=False,
        label="Upload",
        help_text="One file, or a folder as a zip or tar archive.",
    )
    path = forms.CharField(
        required=False,
        max_length=1000,
        label="File or folder on this machine",
        help_text="A whole path inside the allowed folders.",
        widget=forms.TextInput(attrs={"spellcheck": "false", "autocomplete": "off"}),
    )
    title = forms.CharField(
        required=False,
        max_length=200,
        label="Name",
        help_text="Of the job, where there is one run. Without it the run keeps its own name.",
        validators=[one_line],
    )

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or self.cleaned_data
        if bool(given.get("file")) == bool(given.get("path")) and not self.errors:
            self.add_error("path", "Give one of the two: an upload or a path.")
        return given
