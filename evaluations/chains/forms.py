import uuid as uuids
from copy import copy
from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.utils import timezone

from compute.models import Machine
from evaluations.chains.models import LONGEST_NAME, ChainRecipe, Every
from evaluations.steps.reading import LONGEST, read_chain
from evaluations.steps.values import ChainError
from platform_site.fields import one_line

AT_MOST = timedelta(days=3650)  # from now to the first start


class TextForm(forms.Form):
    """The recipe of a chain, where it runs, and what it is called."""

    text = forms.CharField(
        max_length=LONGEST,
        strip=False,
        label="Recipe",
        help_text="YAML: a list of steps, each of which names those before it that it needs.",
        widget=forms.Textarea(attrs={"rows": 24, "spellcheck": "false"}),
    )
    machine = forms.ModelChoiceField(
        Machine.objects.none(), label="Machine", required=False,
        empty_label="That of the recipe; without one, this machine",
        help_text="Where training runs, unless a step names another. Other steps run where their "
        "models lie.",
    )  # fmt: skip
    name = forms.CharField(
        max_length=LONGEST_NAME,
        required=False,
        label="Name",
        help_text="Without one, that of the recipe.",
        validators=[one_line],
    )

    def __init__(self, user: User, data: Any = None, **more: Any) -> None:
        super().__init__(data, **more)
        self.user = user
        self.fields["machine"].queryset = Machine.objects.for_jobs()  # type: ignore[attr-defined]

    def clean_text(self) -> str:
        text: str = self.cleaned_data["text"]
        try:
            read_chain(text)
        except ChainError as error:
            raise forms.ValidationError(str(error)) from error
        return text


class StartForm(TextForm):
    """``uuid`` becomes that of the chain, so that sending it twice starts one."""

    uuid = forms.UUIDField(widget=forms.HiddenInput)
    kept = forms.IntegerField(
        widget=forms.HiddenInput, required=False, min_value=1, max_value=2**62
    )

    @property
    def recipe(self) -> ChainRecipe | None:
        """The kept recipe that a valid form began with, if the user may see it."""
        mine = ChainRecipe.objects.visible_to(self.user)
        return mine.filter(pk=self.cleaned_data["kept"] or 0).first()

    def renew(self) -> None:
        """Give it a number of its own."""
        data: Any = copy(self.data)  # what a request brought cannot be changed
        data["uuid"] = str(uuids.uuid4())
        self.data = data


class KeepForm(TextForm):
    """A recipe that is kept, and when it starts by itself."""

    every = forms.ChoiceField(choices=Every.choices, required=False, label="Starts by itself")
    first_at = forms.DateTimeField(
        required=False,
        label="First at",
        help_text="Such as 2026-11-27 02:00. From then on it starts at this time of the hour, the "
        "day or the week. Empty: from now on.",
    )

    def __init__(
        self, user: User, data: Any = None, *, kept: ChainRecipe | None = None, **more: Any
    ) -> None:
        super().__init__(user, data, **more)
        self.kept = kept

    def clean_first_at(self) -> datetime | None:
        first: datetime | None = self.cleaned_data["first_at"]
        if first and abs(first - timezone.now()) > AT_MOST:
            raise forms.ValidationError("It is more than ten years away: correct it.")
        return first

    def clean_name(self) -> str:
        name = self.cleaned_data["name"].strip() or self._own_name()
        others = ChainRecipe.objects.filter(owner=self._owner, name=name)
        if self.kept:
            others = others.exclude(pk=self.kept.pk)
        if name and others.exists():
            raise forms.ValidationError(f"You have a recipe {name} already.")
        return name

    def _own_name(self) -> str:
        text = self.cleaned_data.get("text")
        return read_chain(text).name if text else ""

    @property
    def _owner(self) -> User:
        return self.kept.owner if self.kept else self.user

    def keep(self, now: datetime) -> ChainRecipe:
        """The row of the valid form."""
        given, kept = self.cleaned_data, self.kept or ChainRecipe(owner=self.user)
        kept.name, kept.text, kept.machine = given["name"], given["text"], given["machine"]
        first = given["first_at"] or now
        if given["every"] != kept.every or given["first_at"] or not given["every"]:
            kept.next_at = first if given["every"] else None
        kept.every, kept.problem = given["every"], ""
        kept.save()
        return kept

    def try_to_keep(self, now: datetime) -> ChainRecipe | None:
        """The same; None, with an error at the form, where another was kept under its name."""
        try:
            with transaction.atomic():
                return self.keep(now)
        except IntegrityError:
            self.add_error("name", "You have a recipe of this name already.")
            return None
