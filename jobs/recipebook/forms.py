from django import forms
from django.core.files.uploadedfile import UploadedFile

from jobs.recipebook.files import LARGEST_FILE
from platform_site.fields import one_line


class TellingForm(forms.Form):
    """A small form that reports its errors in one sentence."""

    @property
    def first_error(self) -> str:
        name, faults = next(iter(self.errors.items()))
        return f"{self.fields[name].label}: {faults[0]}"


class RenameForm(TellingForm):
    title = forms.CharField(max_length=200, label="Title", validators=[one_line])


class SaveForm(RenameForm):
    purpose = forms.CharField(required=False, max_length=1000, label="What it is for")


class ImportForm(TellingForm):
    file = forms.FileField(label="Recipe", max_length=200)

    def clean_file(self) -> UploadedFile[bytes]:
        file: UploadedFile[bytes] = self.cleaned_data["file"]
        if file.size is None or file.size > LARGEST_FILE:
            raise forms.ValidationError("That is too large for a recipe: 256 KiB are the most.")
        try:
            self.cleaned_data["text"] = file.read().decode("utf-8-sig").replace("\r\n", "\n")
        except UnicodeDecodeError:
            raise forms.ValidationError("That is not a text in UTF-8.") from None
        return file
