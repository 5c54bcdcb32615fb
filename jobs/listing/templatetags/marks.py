from typing import Any

from django import template
from django.template import RequestContext

from jobs.listing.shown import marks_of
from jobs.models import Job

register = template.Library()


@register.inclusion_tag("jobs/listing/marks.html", takes_context=True)
def job_marks(context: RequestContext, job: Job) -> dict[str, Any]:
    """Tags, note and pin of a job, as its viewer sees and changes them."""
    request = context["request"]
    return {**marks_of(job, request.user), "request": request, "csrf_token": context["csrf_token"]}
