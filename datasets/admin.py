from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join

from datasets import services
from datasets.elsewhere import uses_of
from datasets.models import Dataset, Report, Source, Version
from datasets.services import DatasetError
from platform_site.admin import ReadOnly
from platform_site.work.models import Work


class WorkAdmin(ReadOnly, admin.ModelAdmin[Any]):
    """Long work: it is seen, and actions call the services."""

    actions = ("again", "cancel")

    @admin.action(description="Start again", permissions=["act"])
    def again(self, request: HttpRequest, queryset: QuerySet[Work]) -> None:
        done, who = 0, request.user if isinstance(request.user, User) else None
        for work in queryset:
            try:
                done += services.retry(work, who)
            except DatasetError as error:
                messages.error(request, str(error))
        messages.info(request, f"{done} of {queryset.count()} started again.")

    @admin.action(description="Cancel", permissions=["act"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[Work]) -> None:
        done = sum(services.cancel(work) for work in queryset)
        messages.info(request, f"{done} of {queryset.count()} asked to stop.")


@admin.register(Dataset)
class DatasetAdmin(admin.ModelAdmin[Dataset]):
    list_display = ("name", "owner", "is_sample", "created_at")
    list_filter = ("is_sample",)
    list_select_related = ("owner",)
    readonly_fields = ("uuid",)
    search_fields = ("name",)

    def has_delete_permission(self, request: HttpRequest, obj: Dataset | None = None) -> bool:
        return False  # the data set's own page deletes its files too


@admin.register(Source)
class SourceAdmin(WorkAdmin):
    list_display = ("name", "dataset", "origin", "state", "rows", "created_at", "mapping")
    list_filter = ("state", "origin")
    list_select_related = ("dataset",)
    search_fields = ("name", "dataset__name")

    @admin.display(description="Next")
    def mapping(self, source: Source) -> str:
        if not source.is_done:
            return ""
        url = reverse("datasets:map", args=[source.dataset_id, source.pk])
        return format_html('<a href="{}">Map and compile</a>', url)


@admin.register(Version)
class VersionAdmin(WorkAdmin):
    list_display = ("label", "target", "state", "rows_train", "rows_val", "created_at", "uses")
    list_filter = ("target", "state")
    list_select_related = ("dataset",)
    search_fields = ("dataset__name",)

    @admin.display(description="Next")
    def uses(self, version: Version) -> str:
        links = [(use.url, use.text) for use in uses_of(version)]
        return format_html_join(" ", '<a href="{}">{}</a>', links)


@admin.register(Report)
class ReportAdmin(WorkAdmin):
    list_display = ("version", "state", "model", "max_length", "created_at")
    list_filter = ("state",)
    list_select_related = ("version__dataset",)
    search_fields = ("version__dataset__name",)
