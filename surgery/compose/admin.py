from django.contrib import admin

from platform_site.admin import ReadOnly
from surgery.compose.models import Sweep, Swept


class SweptInline(ReadOnly, admin.TabularInline[Swept, Sweep]):
    model = Swept
    extra = 0


@admin.register(Sweep)
class SweepAdmin(ReadOnly, admin.ModelAdmin[Sweep]):
    list_display = ("pk", "name", "owner", "over", "created_at")
    list_filter = ("created_at",)
    list_select_related = ("owner",)
    search_fields = ("name",)
    inlines = (SweptInline,)


@admin.register(Swept)
class SweptAdmin(ReadOnly, admin.ModelAdmin[Swept]):
    list_display = ("sweep", "value", "job")
    list_filter = ("job__status",)
    list_select_related = ("sweep", "job")
    search_fields = ("sweep__name",)
