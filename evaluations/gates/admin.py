from django.contrib import admin

from jobs.models import Gate
from platform_site.admin import ReadOnly


@admin.register(Gate)
class GateAdmin(ReadOnly, admin.ModelAdmin[Gate]):
    list_display = ("job", "on", "words", "passed_at", "failure")
    list_filter = ("passed_at",)
    list_select_related = ("job", "on")
    search_fields = ("job__name", "words")
