from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from evaluations.chains.models import Chain, ChainRecipe, Part
from platform_site.admin import NotEdited, ReadOnly


class PartInline(ReadOnly, admin.TabularInline[Part, Chain]):
    model = Part
    fields = ("step", "nr", "label", "job", "path", "done_at", "failure", "said")
    extra = 0


@admin.register(Chain)
class ChainAdmin(NotEdited, admin.ModelAdmin[Chain]):
    list_display = ("pk", "name", "state", "owner", "machine", "created_at")
    list_filter = ("state", "created_at")
    list_select_related = ("owner", "machine")
    search_fields = ("name",)
    inlines = (PartInline,)
    actions = ("stop", "resume")

    @admin.action(description="Stop with its jobs", permissions=["act"])
    def stop(self, request: HttpRequest, chains: QuerySet[Chain]) -> None:
        self._each(request, chains, "stop", "stopped")

    @admin.action(description="Resume", permissions=["act"])
    def resume(self, request: HttpRequest, chains: QuerySet[Chain]) -> None:
        self._each(request, chains, "resume", "resumed")

    def _each(self, request: HttpRequest, chains: QuerySet[Chain], verb: str, said: str) -> None:
        from evaluations.chains import services  # every process imports the admin, few do this

        who, done = request.user.get_username(), 0
        for chain in chains:
            try:
                done += getattr(services, verb)(chain, who=who)
            except services.NotStarted as error:
                messages.error(request, f"{chain}: {error}")
        messages.info(request, f"{done} of {len(chains)} {said}.")


@admin.register(Part)
class PartAdmin(ReadOnly, admin.ModelAdmin[Part]):
    list_display = ("chain", "step", "nr", "label", "job", "done_at")
    list_filter = ("chain__state",)
    list_select_related = ("chain", "job")
    search_fields = ("chain__name", "step")


@admin.register(ChainRecipe)
class ChainRecipeAdmin(NotEdited, admin.ModelAdmin[ChainRecipe]):
    list_display = ("name", "owner", "every", "next_at", "changed_at")
    list_filter = ("every",)
    list_select_related = ("owner",)
    search_fields = ("name",)
