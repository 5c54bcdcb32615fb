from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from monitoring.models import Cursor, Series, SystemSample
from monitoring.series.plot import polylines
from monitoring.store import points

PLOT = (480, 120)  # pixels


@admin.register(Series)
class SeriesAdmin(admin.ModelAdmin[Series]):
    list_display = ("job", "name", "last_step", "last_value", "low", "high", "count")
    search_fields = ("name", "job__name")
    list_select_related = ("job",)
    show_full_result_count = False
    fields = readonly_fields = (*list_display, "plot")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False  # a series is made by its points

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


@admin.register(SystemSample)
class SystemSampleAdmin(admin.ModelAdmin[SystemSample]):
    list_display = ("job", "at")
    raw_id_fields = ("job",)
    show_full_result_count = False


@admin.register(Cursor)
class CursorAdmin(admin.ModelAdmin[Cursor]):
    list_display = ("job", "attempt", "file", "offset", "broken", "first_broken")
