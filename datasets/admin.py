from django.contrib import admin

from datasets.models import Dataset


@admin.register(Dataset)
class DatasetAdmin(admin.ModelAdmin[Dataset]):
    list_display = ("name", "kind", "rows", "is_sample", "created_at")
    list_filter = ("kind", "is_sample")
    readonly_fields = ("rows",)  # counted, never typed
    search_fields = ("name",)
