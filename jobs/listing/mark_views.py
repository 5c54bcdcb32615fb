"""Tags, note and pin of one job, from its page; columns and views of the list."""

from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST

from jobs.listing import columns, marks, saved
from jobs.listing.forms import ColumnsForm, NoteForm, TagsForm, ViewForm
from jobs.listing.shown import marks_of
from jobs.models import Job, SavedView
from jobs.requests import get_job
from platform_site.htmx import HtmxHttpRequest


@require_POST
def tags(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    job, form = get_job(request, pk), TagsForm(request.POST)
    if form.is_valid():
        try:
            marks.retag(job, form.cleaned_data["tags"], who=request.user.get_username())
        except ValidationError as error:
            form.add_error("tags", error)
    return answer(request, job, form)


@require_POST
def note(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    job, form = get_job(request, pk), NoteForm(request.POST)
    if form.is_valid():
        marks.note(job, form.cleaned_data["note"], who=request.user.get_username())
    return answer(request, job, form)


@require_POST
def pinned(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    job = get_job(request, pk)
    marks.pin(job, request.user, on="on" in request.POST)
    return answer(request, job)


def answer(request: HtmxHttpRequest, job: Job, form: forms.Form | None = None) -> HttpResponse:
    """The marks of the job, with what was typed where it cannot be taken."""
    context: dict[str, Any] = marks_of(job, request.user)
    status = 200
    if form and not form.is_valid():
        [(field, errors)] = form.errors.items()
        context |= {"wrong": {field: errors[0]}, "typed": {field: form.data.get(field, "")}}
        status = 422
    elif not request.htmx:
        return redirect(job)
    template = "jobs/listing/marks.html" if request.htmx else "jobs/listing/marks_page.html"
    return render(request, template, context, status=status)


@require_POST
def choose_columns(request: HtmxHttpRequest) -> HttpResponse:
    form = ColumnsForm(request.POST)
    if not form.is_valid():
        context = {
            "form": form,
            "query": request.POST.get("query", ""),
            "typed": form.names,
            "empty_columns": range(2),
            "names": [],
            "most_columns": columns.MOST,
        }
        return render(request, "jobs/listing/columns_page.html", context, status=422)
    if "usual" in request.POST:
        saved.forget_columns(request.user)
    else:
        saved.choose_columns(request.user, form.names)
    query = QueryDict(request.POST.get("query", ""), mutable=True)
    query.pop("column", None)
    return redirect(f"{reverse('jobs:list')}?{query.urlencode()}")


@require_POST
def save_view(request: HtmxHttpRequest) -> HttpResponse:
    form = ViewForm(request.POST)
    query = request.POST.get("query", "")
    if not form.is_valid():
        messages.error(request, str(next(iter(next(iter(form.errors.values()))))))
        return redirect(f"{reverse('jobs:list')}?{QueryDict(query).urlencode()}")
    kept = saved.query_of(form.cleaned_data["query"], columns.chosen_by(request.user))
    try:
        view = saved.save_view(request.user, form.cleaned_data["name"], kept)
    except saved.TooMany as error:
        messages.error(request, str(error))
    else:
        messages.success(request, f"The view {view.name} is saved.")
    return redirect(f"{reverse('jobs:list')}?{kept}")


@require_POST
def delete_view(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    view = get_object_or_404(SavedView, pk=pk, owner=request.user)
    view.delete()
    messages.success(request, f"The view {view.name} is deleted.")
    return redirect("jobs:list")
