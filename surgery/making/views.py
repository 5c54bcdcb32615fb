"""The page of a form of surgery: it is shown, checked, and becomes a job."""

import uuid as uuids
from typing import Any

from django.http import HttpResponse, QueryDict
from django.shortcuts import redirect, render

from jobs.launch.submit import NotSubmitted
from jobs.models import Place
from jobs.queue import rental
from jobs.requests import warn_of_rental
from platform_site.htmx import HtmxHttpRequest
from surgery.making.checks import SurgeryError
from surgery.making.forms import MakeForm
from surgery.making.offered import chosen
from surgery.making.services import make
from surgery.making.trying import in_words, look


def begun(request: HtmxHttpRequest) -> tuple[dict[str, Any], list[Place]]:
    """What every form begins with, and the folders of the artifacts that the address names by
    ``?from=``."""
    places = chosen(request.user, request.GET.getlist("from"))
    machine = {"machine": places[0].machine_id} if places else {}
    return {"uuid": uuids.uuid4(), **machine}, places


def shown(
    request: HtmxHttpRequest, template: str, form: MakeForm, status: int = 200, **more: Any
) -> HttpResponse:
    return render(request, template, {"form": form, **more}, status=status)


def answered(request: HtmxHttpRequest, template: str, form: MakeForm, **more: Any) -> HttpResponse:
    """To a POST: the job is started, or the form says what was checked or what is wrong."""
    if not form.is_valid():
        return shown(request, template, form, 422, **more)
    if request.POST.get("action") == "check":
        try:
            seen = in_words(look(form.spec, form.cleaned_data["machine"]))
        except SurgeryError as error:
            form.add_error(None, str(error))
            return shown(request, template, form, 422, **more)
        return shown(request, template, form, is_checked=True, seen=seen, **more)
    try:
        made = make(form)
    except NotSubmitted as error:
        form.refuse(error)
        return shown(request, template, form, 422, **more)
    warn_of_rental(request, rental.warning(made))
    return redirect(made)


def listed(data: QueryDict, *names: str) -> list[str]:
    """The values of these fields of a POST."""
    return [value for name in names for value in data.getlist(name)]
