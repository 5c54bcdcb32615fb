"""Makes the columns of large steps' answers as they are written, before somebody waits for them.

Those of a usual step are made in an instant by whoever looks at it first.
"""

import logging

from jobs.models import Job
from monitoring.answers.kept import is_kept, step_of
from monitoring.page.answer_forms import KINDS
from monitoring.page.answers import LIMITS, place_of, steps_of
from platform_site.bounded.calls import call
from platform_site.bounded.limits import TooMuch

LARGE = 16 << 20  # bytes
NEWEST = 2  # steps: the last one may be written on
log = logging.getLogger(__name__)


def make_columns(job: Job) -> None:
    """Whatever is wrong with the files costs nothing but the time of who looks at them."""
    if not job.job_kind.writes_answers:
        return
    for kind in KINDS:
        for file in steps_of(job, kind, None).files[-NEWEST:]:
            place = place_of(job, kind, file)
            try:
                if place.path.stat().st_size >= LARGE and not is_kept(place.path, place.kept):
                    call(LIMITS, (), step_of, place.path, place.kept)
            except (OSError, TooMuch) as error:
                log.warning("The answers of %s in step %s: %s", job, file.step, error)
