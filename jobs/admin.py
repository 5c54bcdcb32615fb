from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.urls import reverse
from django_q.models import OrmQ, Schedule

from jobs import lifecycle
from jobs.archive import services
from jobs.dryfire import services as dry_fires
from jobs.launch import end, submit
from jobs.listing import marks
from jobs.models import (
    Deletion,
    Event,
    Fetch,
    Job,
    KnownDigest,
    Lease,
    ListColumns,
    Outcome,
    PinnedJob,
    Provenance,
    Rehearsal,
    SavedRecipe,
    SavedView,
    Tag,
    TrackerSecret,
)
from jobs.rehearsal import services as rehearsals
from platform_site.admin import NotAdded, NotEdited, ReadOnly
from platform_site.fields import one_line

# These pages could run any function of any module.
admin.site.unregister([model for model in (OrmQ, Schedule) if admin.site.is_registered(model)])

MOST_EVENTS = 100


class EventInline(ReadOnly, admin.TabularInline[Event, Job]):
    model = Event
    fields = ("at", "kind", "who", "message", "source")
    verbose_name_plural = "newest events"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Event]:
        """The newest of the job: its own page has all."""
        found = super().get_queryset(request)
        job = request.resolver_match.kwargs.get("object_id") if request.resolver_match else None
        newest = found.filter(job=job).reverse()[:MOST_EVENTS].values("pk")
        return found.filter(pk__in=[row["pk"] for row in newest])


class TagInline(admin.TabularInline[Tag, Job]):
    model = Tag
    extra = 1
    max_num = marks.MOST_TAGS


class NamedJob(forms.ModelForm[Job]):
    name = forms.CharField(max_length=200, validators=[one_line])

    class Meta:
        model = Job
        fields = ("name", "note")


@admin.register(Job)
class JobAdmin(NotAdded, admin.ModelAdmin[Job]):
    list_display = ("pk", "name", "kind", "status_now", "step", "steps", "machine", "owner")
    list_display_links = ("pk", "name")
    list_filter = ("status", "kind", "machine", ("archived_at", admin.EmptyFieldListFilter))
    search_fields = ("name", "uuid")
    actions = ("start", "rehearse", "dry_fire", "stop", "archive", "unarchive", "delete_with_files")
    inlines = (TagInline, EventInline)
    # A job changes through services only; here it can be renamed, tagged, noted and put away,
    # started and stopped.
    readonly_fields = [
        field.name for field in Job._meta.fields if field.name not in ("id", "name", "note")
    ]
    form = NamedJob

    @admin.display(description="status", ordering="status")
    def status_now(self, job: Job) -> str:
        return job.stands_label

    def has_delete_permission(self, request: HttpRequest, obj: Job | None = None) -> bool:
        """A job goes with its files, by the action: its page says what becomes of them."""
        return False

    def save_model(self, request: HttpRequest, obj: Job, form: NamedJob, change: bool) -> None:
        job = Job.objects.get(pk=obj.pk)
        submit.rename(job, form.cleaned_data["name"], who=request.user.get_username())
        marks.note(job, form.cleaned_data["note"], who=request.user.get_username())

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        job = Job.objects.get(pk=form.instance.pk)
        had = set(job.tags.values_list("name", flat=True))
        formset.save()
        has = set(job.tags.values_list("name", flat=True))
        if has != had:
            marks.tagged(job, had, has, who=request.user.get_username())
            lifecycle.touch(job)

    @admin.action(description="Start the chosen drafts", permissions=["change"])
    def start(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        who, done = request.user.get_username(), 0
        for job in queryset:
            try:
                done += submit.enqueue(job, who=who)
            except submit.NotSubmitted as error:
                self.message_user(request, f"{job}: {error}", messages.WARNING)
        self.message_user(request, f"{done} of {len(queryset)} queued.", messages.INFO)

    @admin.action(description="Rehearse the chosen jobs", permissions=["change"])
    def rehearse(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        self._try_out(request, queryset, rehearsals.rehearse, "rehearsed")

    @admin.action(description="Dry-fire the chosen jobs", permissions=["change"])
    def dry_fire(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        self._try_out(request, queryset, dry_fires.dry_fire, "dry-fired")

    def _try_out(
        self,
        request: HttpRequest,
        queryset: QuerySet[Job],
        try_out: Callable[[Job, User], Job],
        done_word: str,
    ) -> None:
        done = 0
        for job in queryset:
            try:
                try_out(job, job.owner)
                done += 1
            except submit.NotSubmitted as error:
                self.message_user(request, f"{job}: {error}", messages.WARNING)
        self.message_user(request, f"{done} of {len(queryset)} are {done_word}.", messages.INFO)

    @admin.action(description="Stop the chosen jobs", permissions=["change"])
    def stop(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        who = request.user.get_username()
        done = sum(end.stop(job, who=who) for job in queryset)
        self.message_user(request, f"{done} of {len(queryset)} asked to stop.", messages.INFO)

    @admin.action(description="Put the chosen jobs into the archive", permissions=["change"])
    def archive(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        done = sum(services.archive(job, who=request.user.get_username()) for job in queryset)
        self.message_user(request, f"{done} of {len(queryset)} archived.", messages.INFO)

    @admin.action(description="Take the chosen jobs out of the archive", permissions=["change"])
    def unarchive(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        done = sum(services.unarchive(job, who=request.user.get_username()) for job in queryset)
        self.message_user(request, f"{done} of {len(queryset)} in the lists.", messages.INFO)

    @admin.action(description="Delete the chosen jobs with their files", permissions=["change"])
    def delete_with_files(self, request: HttpRequest, queryset: QuerySet[Job]) -> HttpResponse:
        """Leads to the page that says what becomes of their files."""
        query = QueryDict(mutable=True)
        query.setlist("job", [str(job.pk) for job in queryset])
        return redirect(f"{reverse('jobs:delete')}?{query.urlencode()}")


@admin.register(Tag)
class TagAdmin(NotEdited, admin.ModelAdmin[Tag]):
    """Which jobs have which tags. They are put on a job's page, or in its record here."""

    list_display = ("name", "job")
    list_filter = ("name",)
    list_select_related = ("job",)
    search_fields = ("name", "job__name")


@admin.register(PinnedJob)
class PinnedJobAdmin(NotEdited, admin.ModelAdmin[PinnedJob]):
    """Which jobs stand first in whose list."""

    list_display = ("job", "user")
    list_filter = ("user",)
    list_select_related = ("job", "user")
    search_fields = ("job__name", "user__username")


@admin.register(SavedView)
class SavedViewAdmin(NotEdited, admin.ModelAdmin[SavedView]):
    """Lists of jobs that users come back to. They are saved on the list's page."""

    list_display = ("name", "owner", "query")
    list_filter = ("owner",)
    list_select_related = ("owner",)
    search_fields = ("name", "query", "owner__username")


@admin.register(ListColumns)
class ListColumnsAdmin(NotEdited, admin.ModelAdmin[ListColumns]):
    """The columns that users chose for their list of jobs. Deleting it brings the usual ones."""

    list_display = ("user", "columns")
    list_filter = ("user",)
    list_select_related = ("user",)
    search_fields = ("user__username",)


@admin.register(Rehearsal)
class RehearsalAdmin(ReadOnly, admin.ModelAdmin[Rehearsal]):
    """Which job was rehearsed, or dry-fired, by which. It is asked for on a job's page."""

    list_display = ("job", "run", "sort", "must_pass", "passed_at")
    list_filter = ("must_pass", "run__kind")
    list_select_related = ("job", "run")
    search_fields = ("job__name",)

    @admin.display(description="kind", ordering="run__kind")
    def sort(self, one: Rehearsal) -> str:
        return one.run.kind_label if one.run else ""


@admin.register(Provenance)
class ProvenanceAdmin(ReadOnly, admin.ModelAdmin[Provenance]):
    """What attempts were made with. The values are on a page, which hides secrets."""

    fields = list_display = ("job", "attempt", "part", "at")
    list_filter = ("part",)
    list_select_related = ("job",)
    search_fields = ("job__name",)


@admin.register(Lease)
class LeaseAdmin(ReadOnly, admin.ModelAdmin[Lease]):
    """Which job has which GPU. A lease begins when its job starts, and ends with it."""

    list_display = ("machine", "device", "job")
    list_filter = ("machine",)
    list_select_related = ("machine", "job")
    search_fields = ("job__name", "machine__name")


@admin.register(Event)
class EventAdmin(ReadOnly, admin.ModelAdmin[Event]):
    ordering = ("-pk",)
    list_display = ("at", "job", "kind", "who", "message", "source")
    list_filter = ("source", "kind")
    search_fields = ("job__name", "message")


@admin.register(Fetch)
class FetchAdmin(ReadOnly, admin.ModelAdmin[Fetch]):
    """What was brought here of far runs. It is asked for on a run's page."""

    list_display = ("job", "step", "state", "done", "total", "who", "asked_at")
    list_filter = ("state",)
    list_select_related = ("job",)
    search_fields = ("job__name", "who")


@admin.register(Outcome)
class OutcomeAdmin(ReadOnly, admin.ModelAdmin[Outcome]):
    """What finished runs needed, beside their estimates. The page of accuracy shows the errors."""

    list_display = (
        "job",
        "at",
        "gpu",
        "gpus",
        "family",
        "algorithm",
        "estimated_peak",
        "measured_peak",
        "estimated_seconds",
        "measured_seconds",
    )
    list_filter = ("gpu", "family", "algorithm")
    list_select_related = ("job",)
    search_fields = ("job__name",)


@admin.register(KnownDigest)
class KnownDigestAdmin(NotEdited, admin.ModelAdmin[KnownDigest]):
    """Forgetting one has the file read again."""

    list_display = ("digest", "stamp", "used_at")
    list_filter = ("used_at",)
    search_fields = ("digest",)


@admin.register(SavedRecipe)
class SavedRecipeAdmin(NotAdded, admin.ModelAdmin[SavedRecipe]):
    list_display = ("slug", "title", "kind", "owner", "created_at")
    list_filter = ("kind", "is_sample", "owner")
    search_fields = ("slug", "title", "purpose")
    ordering = ("-pk",)  # another title leaves it where it stands, as on the page
    readonly_fields = ("slug", "kind", "spec", "is_sample", "base", "owner", "job", "created_at")


@admin.register(TrackerSecret)
class TrackerSecretAdmin(NotEdited, admin.ModelAdmin[TrackerSecret]):
    """What is set, by whom and when. The values are shown and changed nowhere here."""

    list_display = ("tracker", "variable", "owner", "set_at")
    list_filter = ("tracker",)
    search_fields = ("variable", "owner__username")
    fields = readonly_fields = ("tracker", "variable", "owner", "set_at")


@admin.register(Deletion)
class DeletionAdmin(ReadOnly, admin.ModelAdmin[Deletion]):
    """Which jobs were deleted, by whom, and what was freed."""

    list_display = (
        "number",
        "name",
        "state",
        "who",
        "asked_at",
        "ended_at",
        "freed",
        "left",
        "error",
    )
    list_filter = ("state",)
    search_fields = ("name", "who")
