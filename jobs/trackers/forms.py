from django import forms

from jobs.trackers.accounts import fault
from jobs.verl.trackers import Tracker, Variable


class AccountForm(forms.Form):
    """New values of an account's variables. An empty field leaves its variable unchanged.

    The page never shows a secret again, not even one that was refused.
    """

    def __init__(self, tracker: Tracker, data: object = None) -> None:
        super().__init__(data, prefix=tracker.name)  # type: ignore[arg-type]
        self.tracker = tracker
        for variable in tracker.variables:
            self.fields[variable.name] = _field(variable)
            # Each row holds a form for removing, and forms cannot nest, so a field names its form.
            self.fields[variable.name].widget.attrs["form"] = f"form-{tracker.name}"

    def clean(self) -> dict[str, str]:
        values = {name: text for name, text in self.cleaned_data.items() if text}
        for name, text in values.items():
            if problem := fault(self.tracker, name, text):
                self.add_error(name, problem)
        return values


def _field(variable: Variable) -> forms.Field:
    if variable.choices:
        first = [("", "leave as it is")]
        return forms.ChoiceField(
            required=False,
            label=variable.label,
            help_text=variable.help,
            choices=first + [(choice, choice) for choice in variable.choices],
        )
    widget = forms.PasswordInput if variable.secret else forms.TextInput
    # Without "new-password" a browser would fill in the password of this site.
    attrs = {"autocomplete": "new-password" if variable.secret else "off", "spellcheck": "false"}
    return forms.CharField(
        required=False, label=variable.label, help_text=variable.help, widget=widget(attrs=attrs)
    )
