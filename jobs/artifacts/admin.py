from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from jobs.artifacts import deleting, together
from jobs.models import Artifact, JobInput, Place, Removal
from platform_site.admin import ReadOnly


class PlaceInline(ReadOnly, admin.TabularInline[Place, Artifact]):
    model = Place
    extra = 0


@admin.register(Artifact)
class ArtifactAdmin(ReadOnly, admin.ModelAdmin[Artifact]):
    """Deleting takes the files from where they lie; the row stays, for what was made from it."""

    list_display = ("pk", "kind", "name", "job", "step", "size", "is_whole", "pinned_by", "made_at")
    list_filter = ("kind", "is_whole")
    list_select_related = ("job",)
    search_fields = ("name", "job__name")
    actions = ("pin", "unpin", "delete_files")
    inlines = (PlaceInline,)

    @admin.action(description="Pin the chosen artifacts", permissions=["act"])
    def pin(self, request: HttpRequest, queryset: QuerySet[Artifact]) -> None:
        for artifact in queryset:
            deleting.pin(artifact, who=request.user.get_username())
        self.message_user(request, f"{len(queryset)} pinned.", messages.INFO)

    @admin.action(description="Unpin the chosen artifacts", permissions=["act"])
    def unpin(self, request: HttpRequest, queryset: QuerySet[Artifact]) -> None:
        for artifact in queryset:
            deleting.unpin(artifact)
        self.message_user(request, f"{len(queryset)} unpinned.", messages.INFO)

    @admin.action(description="Delete the files of the chosen artifacts", permissions=["act"])
    def delete_files(self, request: HttpRequest, queryset: QuerySet[Artifact]) -> None:
        """What a job could still need is left: its page asks for a second word."""
        places = Place.objects.there().filter(artifact__in=queryset)
        keys = list(places.values_list("pk", flat=True))
        asked = together.delete_all(keys, who=request.user.get_username())
        for place, reason in asked.refused:
            self.message_user(request, f"{place}: {reason}", messages.WARNING)
        if asked.removals:
            told = f"{len(asked.removals)} being deleted."
            self.message_user(request, told, messages.INFO)


@admin.register(Place)
class PlaceAdmin(ReadOnly, admin.ModelAdmin[Place]):
    list_display = ("artifact", "machine", "path", "seen_at", "gone_at", "gone_by")
    list_filter = ("machine",)
    list_select_related = ("artifact", "machine")
    search_fields = ("path",)


@admin.register(Removal)
class RemovalAdmin(ReadOnly, admin.ModelAdmin[Removal]):
    list_display = ("place", "state", "who", "asked_at", "ended_at", "freed", "error")
    list_filter = ("state", "place__machine")
    list_select_related = ("place__machine",)
    search_fields = ("place__path", "who")


@admin.register(JobInput)
class JobInputAdmin(ReadOnly, admin.ModelAdmin[JobInput]):
    list_display = ("job", "role", "artifact", "source")
    list_filter = ("role",)
    list_select_related = ("job", "artifact", "source")
    search_fields = ("job__name", "artifact__name")
