"""Pages whose contents a run or a user sizes: each stays small, however much there is."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from compute.machines.local import local_machine
from compute.models import Machine, MachineEvent, MachineSample, SetUp
from datasets.models import Dataset, Report, Source, Version
from jobs.listing.views import MOST_NAMES
from jobs.models import Event, Job, SavedRecipe
from monitoring.models import Series, SystemSample
from platform_site.work.models import State
from tests import factories

BIGGEST = 1024 * 1024  # bytes of a page
START = datetime(2026, 1, 1, tzinfo=UTC)
WORDS = "many words of a run, which it prints to no end. " * 4
GPUS = [{"index": n, "util_percent": 1.5, "memory_used": 2**33, "memory_total": 2**36, "name": "x"}
        for n in range(8)]  # fmt: skip


@pytest.fixture
def big_job(db: None, staff: User) -> Job:
    overrides = [f"+model.override_config.some_name_{n}={n}" for n in range(500)]
    job = factories.make_job(
        staff, status="running", started_at=START, name="n" * 200,
        spec=factories.sft_spec(*overrides).to_json(),
    )  # fmt: skip
    Event.objects.bulk_create(
        Event(job=job, attempt=1, at=START + timedelta(seconds=n), kind=f"own-{n % 3000}",
              message=WORDS, source="run" if n % 2 else "platform", data={"step": n, "more": WORDS})
        for n in range(5_000)
    )  # fmt: skip
    Series.objects.bulk_create(
        Series(job=job, name=f"group_{n}/metric", last_value=1.0, count=3) for n in range(2_000)
    )
    SystemSample.objects.bulk_create(
        SystemSample(job=job, at=START + timedelta(seconds=5 * n), attempt=1, position=n,
                     data={"cpu_percent": 1.25, "memory_used": 2**34, "gpus": GPUS})
        for n in range(6_000)
    )  # fmt: skip
    factories.keep_checkpoints(job, dict.fromkeys(range(1, 401), 10), has_hf=True)
    factories.write_run_file(job, "train.log", WORDS * 20_000 + "\n" + f"{WORDS}\n" * 20_000)
    return job


@pytest.fixture
def big_data(db: None, staff: User) -> Version:
    dataset = Dataset.objects.create(name="much", owner=staff, description="d" * 50_000)
    facts = {
        "fields": {f"a_column_with_a_name_{n}": {"types": {"str": n}} for n in range(2_000)},
        "examples": [{"line": n, "code": "json", "message": WORDS, "excerpt": WORDS}
                     for n in range(100)],
        "bad": 5, "problem_counts": {f"code{n}": n for n in range(1_000)},
    }  # fmt: skip
    made = {"state": State.DONE, "dataset": dataset}
    sources = Source.objects.bulk_create(
        Source(origin="upload", name=f"{'s' * 490}{n}", facts=facts, **made) for n in range(120)
    )
    problems = {"counts": {"json": 9}, "lost": {f"column_{n}": n for n in range(5_000)}}
    versions = Version.objects.bulk_create(
        Version(number=n + 1, target="sft", source=sources[0], problems=problems, **made)
        for n in range(500)
    )
    Report.objects.bulk_create(
        Report(version=versions[0], state=State.DONE, data=big_report()) for _ in range(30)
    )
    return versions[0]


def big_report() -> dict[str, object]:
    rows = [{"row": n, "where": "train", "message": WORDS, "excerpt": WORDS} for n in range(50)]
    return {"faults": {}, "rows": {"train": 1, "val": 1}, "examples": rows, "counts": {}}


@pytest.fixture
def big_machine(db: None) -> Machine:
    machine = factories.make_ssh_machine(name="m" * 90)
    SetUp.objects.create(machine=machine, state=State.FAILED, error=WORDS, log=WORDS * 5_000)
    MachineEvent.objects.bulk_create(
        MachineEvent(machine=machine, at=START, kind="noted", message=WORDS, data={"a": WORDS})
        for _ in range(2_000)
    )
    load = {"cpu_percent": 1.5, "gpus": GPUS * 8}
    MachineSample.objects.bulk_create(
        MachineSample(machine=machine, at=START + timedelta(seconds=n), data=load)
        for n in range(2_000)
    )
    return machine


@pytest.fixture
def crowd(db: None, staff: User) -> None:
    """Hundreds of jobs that run, wait and ended, and as many recipes."""
    for status in ("running", "queued", "failed", "draft"):
        Job.objects.bulk_create(
            Job(owner=staff, name=f"{status} {n} " + "n" * 150, kind="sft", recipe="sample-sft",
                spec=factories.sft_spec().to_json(), steps=3, machine=local_machine(),
                status=status, queued_at=START, started_at=START)
            for n in range(150)
        )  # fmt: skip
    SavedRecipe.objects.bulk_create(
        SavedRecipe(slug=f"mine-{n}", title="t" * 200, purpose=WORDS, kind="sft", owner=staff,
                    spec=factories.sft_spec().to_json())
        for n in range(500)
    )  # fmt: skip


def large(page: Client, urls: Iterator[str]) -> dict[str, int]:
    """The sizes of the pages that are too large."""
    sizes = {}
    for url in urls:
        answer = page.get(url)
        assert answer.status_code == 200, url
        sizes[url] = len(b"".join(answer) if answer.streaming else answer.content)
    return {url: size for url, size in sizes.items() if size > BIGGEST}


@pytest.fixture
def operator(page: Client, staff: User) -> Client:
    page.force_login(staff)
    return page


def test_pages_of_a_job(operator: Client, big_job: Job) -> None:
    pk = big_job.pk
    names = ("jobs:events", "jobs:command", "jobs:overrides", "jobs:edit", "jobs:clone",
             "monitoring:run", "monitoring:checkpoints", "monitoring:figures", "monitoring:names",
             "monitoring:system", "artifacts:of_job", "admin:jobs_job_change")  # fmt: skip
    urls = [reverse(name, args=[pk]) for name in names if name != "jobs:edit"]
    urls += [reverse("monitoring:log_line", args=[pk, at]) for at in (10, 3_000_000, 4_000_000)]
    urls += [f"{reverse('compare:page')}?a={pk}&b={factories.make_job(big_job.owner).pk}&all"]
    urls += [f"{reverse('monitoring:points', args=[pk])}?name=group_1/metric"]
    artifact = big_job.artifacts.first()
    assert artifact
    urls += [reverse("artifacts:detail", args=[artifact.pk]), reverse("artifacts:list")]
    assert large(operator, iter(urls)) == {}
    listed = operator.get(reverse("jobs:list")).content.decode()
    # Of each metric two figures.
    assert listed.count('<option value="group_') == 2 * MOST_NAMES < big_job.series.count()


def test_pages_of_data(operator: Client, big_data: Version) -> None:
    dataset, source = big_data.dataset, big_data.source
    assert source
    urls = [reverse("datasets:list"), dataset.get_absolute_url()]
    of_version = ("version", "version_tokens", "version_report", "version_distribution")
    urls += [reverse(f"datasets:{name}", args=[dataset.pk, big_data.number]) for name in of_version]
    urls += [reverse(f"admin:datasets_{model}_changelist") for model in ("source", "version")]
    urls += [reverse("admin:datasets_source_change", args=[source.pk])]
    urls += [reverse("jobs:create", args=["sample-sft"])]
    assert large(operator, iter(urls)) == {}


def test_pages_of_machines(operator: Client, big_machine: Machine) -> None:
    names = ("compute:detail", "compute:events", "admin:compute_machine_change")
    urls = [reverse(name, args=[big_machine.pk]) for name in names]
    urls += [reverse("compute:list"), reverse("monitoring:dashboard")]
    assert large(operator, iter(urls)) == {}


def test_pages_of_many_jobs(operator: Client, crowd: None) -> None:
    names = ("monitoring:dashboard", "jobs:list", "jobs:new", "queue:page", "compare:page",
             "admin:jobs_job_changelist", "jobs:try-reward", "artifacts:list")  # fmt: skip
    urls = [reverse(name) for name in names] + [reverse("jobs:create", args=["sample-sft"])]
    local = Machine.objects.get(kind=Machine.Kind.LOCAL)
    urls += [reverse("compute:detail", args=[local.pk])]
    assert large(operator, iter(urls)) == {}
