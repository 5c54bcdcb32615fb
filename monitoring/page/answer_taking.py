"""Takes answers out of a run: into a data set, or to another reward function."""

import shutil
import uuid
from pathlib import Path
from urllib.parse import urlencode

from django.conf import settings
from django.contrib.auth.models import User
from django.core.files.uploadedfile import UploadedFile
from django.urls import reverse

from datasets import services
from datasets.models import Dataset, Source
from jobs.models import Job
from jobs.places import mirror_folder
from monitoring.answers import asked as ask
from monitoring.answers.over_steps import Place
from monitoring.answers.question import Question
from monitoring.page.answer_forms import LONGEST_DATA_SET, AnswersForm
from monitoring.page.answers import LIMITS, Steps, before_of, place_of, run_of, steps_of
from platform_site.bounded.calls import call
from platform_site.bounded.limits import TooMuch

TRIED = "try-reward.parquet"  # beside the copies of the run's files: those that were tried last


class CannotTake(Exception):
    """The answers cannot be taken. The message is a sentence for the user."""


def name_for(job: Job, steps: Steps) -> str:
    """A name for a data set of a step's answers."""
    step = f" step {steps.shown.step}" if steps.shown else ""
    end = f" {steps.kind}{step}"
    return f"{job.name.replace('@', ' at ')[: LONGEST_DATA_SET - len(end)]}{end}"


def make_data_set(job: Job, form: AnswersForm, name: str, who: User) -> Dataset:
    """Have the answers that a form means imported as a data set of this name, a row for each.

    They are written now; the import is long work of its own. Raises ``CannotTake``.
    """
    return import_answers(job, form, name, who).dataset


def import_answers(job: Job, form: AnswersForm, name: str, who: User | None) -> Source:
    steps = _steps(job, form)
    folder = Path(settings.TRAINYARD_HOME) / "uploads" / f"answers-{uuid.uuid4().hex}"
    folder.mkdir(parents=True)
    path = folder / f"run-{job.pk}-{steps.kind}-{steps.shown.step if steps.shown else 0}.jsonl"
    try:
        count = _write(job, steps, form, path)
        if not count:
            raise CannotTake("There is no answer to take: nothing matches.")
        return _imported(path, name, _about(job, steps, form, count), who)
    except (OSError, TooMuch, services.DatasetError) as error:
        raise CannotTake(str(error)) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _imported(path: Path, name: str, about: str, who: User | None) -> Source:
    """Raises ``OSError`` and ``DatasetError``, and then leaves no empty data set."""
    dataset = services.create(name, who, about)
    try:
        with path.open("rb") as file:
            upload = UploadedFile(file, name=path.name, size=path.stat().st_size)
            return services.import_upload(dataset, upload, who)
    except (OSError, services.DatasetError):
        services.delete(dataset)
        raise


def try_reward(job: Job, form: AnswersForm) -> str:
    """Where another reward function is tried on these answers. Raises ``CannotTake``."""
    steps = _steps(job, form)
    path = mirror_folder(job.uuid) / TRIED
    at, question = _asked(job, steps, form)
    before = before_of(job, steps, question)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        run = run_of(job, steps.kind)
        _, prompts, answers = call(LIMITS, (), ask.write_groups, at, before, question, run, path)
    except (OSError, TooMuch) as error:
        raise CannotTake(f"The answers cannot be taken. {error}") from error
    if not answers:
        raise CannotTake("There is no answer to try a reward on: nothing matches.")
    given = {
        "rows": "file", "data_file": path, "count": prompts, "answers_from": "column",
        "column": "response",
    }  # fmt: skip
    return f"{reverse('jobs:try-reward')}?{urlencode(given)}"


def _write(job: Job, steps: Steps, form: AnswersForm, path: Path) -> int:
    at, question = _asked(job, steps, form)
    before = before_of(job, steps, question)
    run = run_of(job, steps.kind)
    return call(LIMITS, (), ask.write_answers, at, before, question, run, path)


def _steps(job: Job, form: AnswersForm) -> Steps:
    steps = steps_of(job, form.kind_asked, form.cleaned_data.get("step"))
    if steps.shown is None:
        raise CannotTake("There are no answers to take.")
    return steps


def _asked(job: Job, steps: Steps, form: AnswersForm) -> tuple[Place, Question]:
    if steps.shown is None:
        raise CannotTake("There are no answers to take.")
    return place_of(job, steps.kind, steps.shown), form.question()


def _about(job: Job, steps: Steps, form: AnswersForm, count: int) -> str:
    step = steps.shown.step if steps.shown else 0
    chosen = ", chosen by a filter" if form.is_filtered else ""
    return f"{count} answers of job {job.pk} ({job.name}), {steps.kind}, step {step}{chosen}."
