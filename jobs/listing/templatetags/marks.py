from typing import Any

from django import template
from django.template import RequestContext
from django.utils.html import format_html
from django.utils.safestring import SafeString

from jobs.colours import colour_of, dash_of
from jobs.listing.shown import marks_of
from jobs.models import Job

register = template.Library()


@register.inclusion_tag("jobs/listing/marks.html", takes_context=True)
def job_marks(context: RequestContext, job: Job) -> dict[str, Any]:
    """Tags, note and pin of a job, as its viewer sees and changes them."""
    request = context["request"]
    return {**marks_of(job, request.user), "request": request, "csrf_token": context["csrf_token"]}


@register.simple_tag
def run_line(job: Job) -> SafeString:
    """A piece of the line that the job has in a comparison."""
    line = '<span class="run-line" data-colour="{}" data-dash="{}"></span>'
    return format_html(line, colour_of(job.pk), dash_of(job.pk))
