from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from monitoring.models import Cursor, Pin, RunImport, Series, SystemSample
from monitoring.series.plot import polylines
from monitoring.store import points
from platform_site.admin import ReadOnly

PLOT = (480, 120)  # pixels


@admin.register(Series)
class SeriesAdmin(ReadOnly, admin.ModelAdmin[Series]):
    list_display = ("job", "name", "last_step", "last_value", "low", "high", "count")
    list_filter = ("job__kind", "job__status")
    search_fields = ("name", "job__name")
    list_select_related = ("job",)
    show_full_result_count = False
    fields = readonly_fields = (*list_display, "plot")

    @admin.display(description="Its points")
    def plot(self, series: Series) -> SafeString | str:
        found = points.window(series.job, [series.name]).get(series.name)
        lines = polylines(found.column, *PLOT) if found else []
        if not lines:
            return "No finite value yet"
        drawn = format_html_join("", '<polyline points="{}"/>', ((line,) for line in lines))
        return format_html(
            '<svg viewBox="-2 -2 {} {}" width="{}" height="{}" role="img" aria-label="{}" '
            'fill="none" stroke="currentColor">{}</svg>',
            PLOT[0] + 4, PLOT[1] + 4, *PLOT, f"Plot of {series.name}", drawn,
        )  # fmt: skip


@admin.register(Pin)
class PinAdmin(admin.ModelAdmin[Pin]):
    list_display = ("user", "kind", "name", "is_first")
    list_filter = ("kind", "is_first")
    list_select_related = ("user",)
    search_fields = ("name", "user__username")


@admin.register(SystemSample)
class SystemSampleAdmin(ReadOnly, admin.ModelAdmin[SystemSample]):
    list_display = ("job", "at")
    list_filter = ("at", "job__machine")
    list_select_related = ("job",)
    search_fields = ("job__name",)
    show_full_result_count = False


class Broken(admin.SimpleListFilter):
    title = "lines that could not be read"
    parameter_name = "broken"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("1", "Some"), ("0", "None")]

    def queryset(self, request: HttpRequest, rows: QuerySet[Cursor]) -> QuerySet[Cursor] | None:
        """The rows of the chosen answer, or None for all."""
        if self.value() == "1":
            return rows.filter(broken__gt=0)
        return rows.filter(broken=0) if self.value() == "0" else None


@admin.register(Cursor)
class CursorAdmin(ReadOnly, admin.ModelAdmin[Cursor]):
    list_display = ("job", "attempt", "file", "offset", "broken", "first_broken")
    list_filter = (Broken, "file")
    list_select_related = ("job",)
    search_fields = ("job__name", "file")


@admin.register(RunImport)
class RunImportAdmin(ReadOnly, admin.ModelAdmin[RunImport]):
    list_display = ("name", "owner", "state", "done", "total", "asked_at")
    list_filter = ("state", "is_upload")
    list_select_related = ("owner",)
    search_fields = ("name", "owner__username")
