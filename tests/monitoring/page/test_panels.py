"""A job's page has the panels that its kind names, in its order, and nothing of the others."""

import re
import time
from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from jobs.kinds.base import PANELS
from jobs.kinds.train import Train
from jobs.models import Job
from monitoring.page.panels import context_of
from tests import factories
from tests.factories import write_run_file

Names = Callable[..., None]
# What scripts look for, each in one panel.
HOOKS = {
    "charts": ("data-charts", "data-figures", "data-smoothing", 'id="chart-card"'),
    "timing": ('id="run-timing"',),
    "log": ("data-log-section", "data-log-view"),
    "system": ("data-system-url", 'id="run-system"'),
    "events": ('id="run-events"',),
    "checkpoints": ('id="run-checkpoints"', 'id="fetch-form"'),
    "config": ('id="run-command"', "data-copy"),
    "report": ('id="run-report"',),
    "comparison": ('id="run-comparison"',),
    "result": ('id="run-result"',),
    "evaluation": ('id="run-evaluation"',),
}
SCRIPTS = {
    "charts": {
        "series",
        "chartview",
        "charttools",
        "chartaxis",
        "chartmarks",
        "chartcard",
        "charts",
        "chartgroups",
        "chartpicture",
        "chartmenu",
        "figures",
    },
    "system": {"system"},
    "log": {"ansi", "log"},
}
DRAWS = {"uPlot.iife.min", "plot"}  # the charts of both the metrics and the load
ALWAYS = {
    "theme",
    "format",
    "times",
    "feedback",
    "confirm",
    "live",
    "tabtitle",
    "shortcuts",
    "fold",
}


@pytest.fixture
def job(user: User) -> Job:
    job = factories.make_job(user, status="running", started_at=timezone.now())
    write_run_file(job, "heartbeat", f"{time.time()}")
    write_run_file(job, "train.log", "a line\n")
    factories.add_points(job, "train/loss", {1: 0.5})
    return job


@pytest.fixture
def has(monkeypatch: pytest.MonkeyPatch) -> Names:
    """Gives the kind of the job other panels."""

    def give(*names: str) -> None:
        monkeypatch.setattr(Train, "panels", names)

    return give


def sections(content: str) -> list[str]:
    return re.findall(r'<section id="(\w+)"\s+class="panel"', content)


def links(content: str) -> list[str]:
    return re.findall(r'href="#(\w+)"', content.partition('aria-label="Sections"')[2])


def scripts(content: str) -> set[str]:
    found = re.findall(r'<script src="[^"]*?/([\w.]+)\.js"', content)
    return {name for name in found if not name.startswith(("htmx", "hx"))}


def test_a_training_has_the_usual_ones(page: Client, job: Job) -> None:
    content = page.get(job.get_absolute_url()).content.decode()
    assert sections(content) == links(content) == [*Train.panels]


def test_all_of_them_in_their_order(page: Client, job: Job, has: Names) -> None:
    has(*PANELS)
    content = page.get(job.get_absolute_url()).content.decode()
    assert sections(content) == links(content) == [*PANELS]
    assert all(hook in content for hooks in HOOKS.values() for hook in hooks)
    assert scripts(content) >= ALWAYS | DRAWS | set().union(*SCRIPTS.values())


@pytest.mark.parametrize("missing", PANELS)
def test_of_one_that_is_not_named_there_is_nothing(
    page: Client, job: Job, has: Names, missing: str
) -> None:
    left = [name for name in PANELS if name != missing]
    has(*left)
    content = page.get(job.get_absolute_url()).content.decode()
    assert sections(content) == links(content) == left
    assert not [hook for hook in HOOKS[missing] if hook in content]
    assert not scripts(content) & SCRIPTS.get(missing, set())
    assert scripts(content) >= DRAWS


def test_without_charts_and_config_no_script_misses_its_part(
    page: Client, job: Job, has: Names
) -> None:
    has("log", "events")
    content = page.get(job.get_absolute_url()).content.decode()
    assert sections(content) == ["log", "events"]
    assert ALWAYS | SCRIPTS["log"] == scripts(content)
    assert "uPlot" not in content
    assert 'data-sample="0"' in content
    assert 'data-log="7"' in content


def test_in_the_order_of_the_kind(page: Client, job: Job, has: Names) -> None:
    has("checkpoints", "config", "events", "log")
    content = page.get(job.get_absolute_url()).content.decode()
    assert sections(content) == links(content) == ["checkpoints", "config", "events", "log"]


def test_a_page_without_panels_still_has_its_top(page: Client, job: Job, has: Names) -> None:
    has()
    content = page.get(job.get_absolute_url()).content.decode()
    assert sections(content) == links(content) == []
    assert 'id="run-header"' in content
    assert 'data-log="0"' in content
    assert scripts(content) == ALWAYS


def test_what_is_not_shown_is_not_read(user: User, job: Job, has: Names) -> None:
    has("events")
    assert context_of(job, user).keys() == {"job", "panels", "parts", "events", "earlier", "event"}


def test_of_a_job_without_a_log_nothing_points_to_it(page: Client, user: User, has: Names) -> None:
    ended = factories.make_job(user, status="failed", started_at=timezone.now())
    says = "The log says how far it came."
    assert says in page.get(ended.get_absolute_url()).content.decode()
    has("charts")
    assert says not in page.get(ended.get_absolute_url()).content.decode()
