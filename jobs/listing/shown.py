"""What is shown of a job's marks, wherever they are shown."""

from typing import Any

from django.contrib.auth.models import User

from jobs.models import LONGEST_TAG, Job
from jobs.models.jobs import LONGEST_NOTE


def marks_of(job: Job, user: User) -> dict[str, Any]:
    return {
        "job": job,
        "tags": [tag.name for tag in job.tags.all()],
        "is_pinned": job.pins.filter(user=user).exists(),
        "longest_note": LONGEST_NOTE,
        "longest_tag": LONGEST_TAG,
        "wrong": {},
        "typed": {},
    }
