from django.contrib import admin

from compute.models import Machine, MachineSample


@admin.register(Machine)
class MachineAdmin(admin.ModelAdmin[Machine]):
    list_display = ("name", "kind", "slots", "gpus", "workdir", "python")


@admin.register(MachineSample)
class MachineSampleAdmin(admin.ModelAdmin[MachineSample]):
    list_display = ("machine", "at")
    list_filter = ("machine",)
