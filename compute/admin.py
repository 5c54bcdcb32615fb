from datetime import datetime
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from compute import rental
from compute.machines import verbs
from compute.machines.errors import MachineError
from compute.models import (
    Machine,
    MachineEvent,
    MachineSample,
    MachineSecret,
    Membership,
    Price,
    SetUp,
)
from compute.prices import table
from compute.sizing.gpus import catalogue
from platform_site.admin import NotAdded, NotEdited, ReadOnly

# These are measured or confirmed, and not typed in.
FOUND = (
    "host_key", "fingerprint", "confirmed_by", "confirmed_at", "jump_host_key", "jump_fingerprint",
    "checks", "facts", "check_asked_at", "checked_at", "unreachable_since", "unreachable_reason",
    "seen_at", "is_retired", "created_at", "changed_at",
)  # fmt: skip
# A changed address has to be confirmed, which only the page of the machine does.
ADDRESS = ("kind", "host", "port", "jump_host", "jump_port", "ray_address", "workdir")


class EditedMachine(forms.ModelForm[Machine]):
    """Sends back the values that the page showed, so that only changed fields are written."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        for name, field in self.fields.items():
            # A form that was not sent by the page, as by a test, shows nothing of its own.
            field.show_hidden_initial = not self.is_bound or (
                self.add_initial_prefix(name) in self.data
            )

    def clean_rental_ends_at(self) -> datetime | None:
        try:
            before = Machine.objects.get(pk=self.instance.pk).rental_ends_at
            return rental.checked(self.cleaned_data["rental_ends_at"], before)
        except MachineError as error:
            raise forms.ValidationError(str(error)) from None


@admin.register(Machine)
class MachineAdmin(NotAdded, admin.ModelAdmin[Machine]):
    """Machines are added and removed on their own pages, which confirm the host key."""

    list_display = (
        "name", "kind", "host", "slots", "gpus", "workdir", "rental_ends_at", "seen_at",
        "is_retired",
    )  # fmt: skip
    form = EditedMachine
    list_filter = ("kind", "is_retired")
    search_fields = ("name", "host")
    readonly_fields = (*FOUND, *ADDRESS)

    def has_delete_permission(self, request: HttpRequest, obj: Machine | None = None) -> bool:
        return False

    def get_readonly_fields(self, request: HttpRequest, obj: Machine | None = None) -> Any:
        """The machine that Trainyard runs on is found by its name."""
        return (*self.readonly_fields, *(["name"] if obj and obj.is_local else []))

    def save_model(self, request: HttpRequest, obj: Machine, form: Any, change: bool) -> None:
        machine = Machine.objects.get(pk=obj.pk)
        fields = {name: form.cleaned_data[name] for name in form.changed_data}
        verbs.change(machine, fields, {}, who=request.user.get_username())


@admin.register(MachineSecret)
class MachineSecretAdmin(NotEdited, admin.ModelAdmin[MachineSecret]):
    """Which secrets are set, and since when. Their values are neither shown nor changed."""

    list_display = ("machine", "name", "set_at")
    list_filter = ("name",)
    search_fields = ("machine__name",)
    fields = readonly_fields = ("machine", "name", "set_at")


@admin.register(Membership)
class MembershipAdmin(ReadOnly, admin.ModelAdmin[Membership]):
    """Machines are joined on a page of their own, which sees whether they can be."""

    list_display = ("group", "machine", "place", "address")
    list_filter = ("group",)
    list_select_related = ("group", "machine")
    search_fields = ("group__name", "machine__name")


@admin.register(SetUp)
class SetUpAdmin(ReadOnly, admin.ModelAdmin[SetUp]):
    list_display = ("machine", "state", "step", "asked_at", "ended_at")
    list_filter = ("state",)
    list_select_related = ("machine",)
    search_fields = ("machine__name",)


@admin.register(MachineSample)
class MachineSampleAdmin(ReadOnly, admin.ModelAdmin[MachineSample]):
    list_display = ("machine", "at")
    list_filter = ("at", "machine")
    list_select_related = ("machine",)
    search_fields = ("machine__name",)
    show_full_result_count = False


@admin.register(MachineEvent)
class MachineEventAdmin(ReadOnly, admin.ModelAdmin[MachineEvent]):
    ordering = ("-pk",)
    list_display = ("at", "machine", "kind", "who", "message")
    list_filter = ("machine", "kind")
    list_select_related = ("machine",)
    search_fields = ("message", "who")


class PriceForm(forms.ModelForm[Price]):
    card = forms.ChoiceField(
        required=False, help_text="An hour of one GPU.",
        choices=lambda: [("", "-"), *((slug, card.name) for slug, card in catalogue().items())],
    )  # fmt: skip


@admin.register(Price)
class PriceAdmin(admin.ModelAdmin[Price]):
    """The price table, row by row; /machines/prices/ shows it whole."""

    list_display = ("__str__", "card", "machine", "per_hour", "changed_at", "changed_by")
    list_filter = ("changed_at", "changed_by")
    list_select_related = ("machine",)
    search_fields = ("card", "machine__name")
    form = PriceForm
    fields = ("card", "machine", "per_hour")

    def get_readonly_fields(self, request: HttpRequest, obj: Price | None = None) -> Any:
        return ("card", "machine") if obj else ()

    def save_model(self, request: HttpRequest, obj: Price, form: Any, change: bool) -> None:
        table.keep(_priced(obj), obj.per_hour, who=request.user.get_username())
        obj.pk = Price.objects.get(card=obj.card, machine=obj.machine).pk

    def delete_model(self, request: HttpRequest, obj: Price) -> None:
        table.keep(_priced(obj), None, who=request.user.get_username())

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Price]) -> None:
        for price in queryset.select_related("machine"):
            self.delete_model(request, price)


def _priced(price: Price) -> str | Machine:
    return price.machine or price.card
