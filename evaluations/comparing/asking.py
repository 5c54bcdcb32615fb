"""Which evaluations an address or a command names, by the numbers of their jobs."""

from collections.abc import Sequence

from django.contrib.auth.models import User

from evaluations.comparing.comparison import NotComparable, check_number
from evaluations.kinds.evaluate import Evaluate
from evaluations.models import Evaluation
from jobs.models import Job


def named(numbers: Sequence[int], user: User) -> list[Evaluation]:
    """In their order. Raises ``Job.DoesNotExist`` for a job that is not there or not the user's,
    and ``NotComparable`` for one without a result."""
    asked = [number for number in dict.fromkeys(numbers) if abs(number) < 2**63]
    jobs = Job.objects.visible_to(user).in_bulk(asked)
    if len(jobs) < len(set(numbers)):
        raise Job.DoesNotExist("There is no such job.")
    check_number(len(asked))  # what each prompt scored may be large
    found = Evaluation.objects.select_related("job", "artifact__job").filter(job__in=jobs)
    kept = {each.job_id: each for each in found}
    for number in asked:
        if number not in kept:
            raise NotComparable(_why_none(jobs[number]))
    return [kept[number] for number in asked]


def _why_none(job: Job) -> str:
    if job.kind != Evaluate.slug:
        return f"Job {job.pk} is no evaluation."
    return f"Job {job.pk} has no result: it is {job.stands}."
