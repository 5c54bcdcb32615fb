"""From a valid form to the jobs that evaluate, one for each model."""

from django.db import transaction

from evaluations.ordering.forms import EvaluateForm
from jobs.models import Job
from surgery.making.services import queue


def order(form: EvaluateForm) -> list[Job]:
    """All of them, or none. Raises ``NotSubmitted``."""
    given = form.cleaned_data
    made = list[Job]()
    with transaction.atomic():
        for spec in form.specs:
            only = len(form.specs) == 1
            name = given["name"] if only and given["name"] else form.name_of(spec)
            if given["name"] and not only:
                name = f"{given['name']}: {form.called(spec.model)}"
            uuid = form.uuid_of(spec)
            made.append(queue(spec, given["machine"], form.user, name, uuid, form.dataset_version))
    return made
