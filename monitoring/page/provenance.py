"""What a run was made of and with, in short, for its page; a page of its own has all."""

from typing import Any

from jobs.models import Job
from jobs.provenance import facts
from jobs.provenance.reading import newest_of


def provenance(job: Job) -> dict[str, Any]:
    return {"job": job, "made_of": [*facts.made_of(job), *facts.in_short(newest_of(job))]}
