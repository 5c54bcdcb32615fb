from django.contrib import admin

from monitoring.models import Cursor, Series, SystemSample


@admin.register(Series)
class SeriesAdmin(admin.ModelAdmin[Series]):
    list_display = ("job", "name", "last_step", "last_value")
    search_fields = ("name", "job__name")
    list_select_related = ("job",)


@admin.register(SystemSample)
class SystemSampleAdmin(admin.ModelAdmin[SystemSample]):
    list_display = ("job", "at")
    raw_id_fields = ("job",)
    show_full_result_count = False


@admin.register(Cursor)
class CursorAdmin(admin.ModelAdmin[Cursor]):
    list_display = ("job", "attempt", "file", "offset")
