"""Every model has an admin page, and what a page does goes through the services."""

import html
import re
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission, User
from django.db.models import Model
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoCaptureOnCommitCallbacks as OnCommit

from compute.models import Machine, MachineEvent, MachineSample, MachineSecret, Price, SetUp
from datasets.models import Report, Source, Version
from evaluations.chains.models import Chain, ChainRecipe
from evaluations.models import Evaluation, Rule
from jobs.models import Artifact, Event, Fetch, Gate, Job, KnownDigest, Lease, ListColumns, Place
from jobs.recipebook import book
from jobs.trackers import accounts
from jobs.verl.trackers import TRACKERS
from monitoring.models import Block, Cursor, MetricStore, MetricWrite, Pin, RunImport, Series
from surgery.compose.models import Sweep
from tests import factories, taskqueue

OWN_APPS = ("chains", "compute", "compose", "datasets", "evaluations", "jobs", "monitoring")
MODELS = [model for model in admin.site._registry if model._meta.app_label in OWN_APPS]
pytestmark = pytest.mark.usefixtures("queue")


@pytest.fixture
def boss(client: Client, staff: User) -> Client:
    client.force_login(staff)
    return client


@pytest.fixture
def everything(user: User) -> None:
    job = factories.make_job(user, name="a run", status="queued")
    now, data = timezone.now(), {"cpu_percent": 1}
    factories.add_points(job, "train/loss", {1: 1.0, 2: 0.5})
    job.system_samples.create(at=now, data=data, attempt=1, position=0)
    Cursor.objects.create(job=job, attempt=1, file="train.log")
    Pin.objects.create(user=user, kind="sft", name="train/loss")
    Event.objects.create(job=job, at=now, kind="queued")
    job.provenance.create(attempt=1, part="config", at=now, data={"api_key": "a key"})
    RunImport.objects.create(owner=user, name="a-run", path="/w/a-run")
    Lease.objects.create(job=job, machine=job.machine, device=0)
    more_artifacts(job)
    job.deletions.create(number=job.pk, name=job.name)
    job.rehearsals.create(run=factories.make_job(user))
    more_sweeps(job)
    more_evaluations(job)
    more_chains(job)
    Fetch.objects.create(job=job, step=3, asked_at=now, beat_at=now)
    KnownDigest.objects.create(key="a", stamp="1", digest="b", used_at=now)
    factories.make_outcome(job)
    book.save_recipe(user, job, "a recipe")
    more_marks(job)
    accounts.keep(user, TRACKERS["wandb"], {"WANDB_API_KEY": "a key"})
    MachineSample.objects.create(machine=job.machine, at=now, data=data)
    MachineSecret.objects.create(machine=job.machine, name="password", value="a word", set_at=now)
    MachineEvent.objects.create(machine=job.machine, at=now, kind="added")
    SetUp.objects.create(machine=job.machine, asked_at=now, beat_at=now)
    Price.objects.create(machine=job.machine, per_hour=2, changed_at=now)
    group = factories.make_machine(kind=Machine.Kind.GROUP)
    group.memberships.create(machine=job.machine, place=0)
    more_data()


def more_marks(job: Job) -> None:
    job.tags.create(name="good")
    job.pins.create(user=job.owner)
    job.owner.job_views.create(name="a view", query="where=tag+%3D+good")
    ListColumns.objects.create(user=job.owner, columns=["lr"])


def more_evaluations(job: Job) -> None:
    done = factories.make_job(job.owner, kind="evaluate", spec={"way": "answers"})
    Evaluation.objects.create(job=done, of_job=job, way="answers", model="/m", scores=b"1")
    Rule.objects.create(run=job, owner=job.owner, spec={})


def more_artifacts(job: Job) -> None:
    factories.keep_checkpoints(job, {1: 5})
    place = Place.objects.filter(artifact__job=job).get()
    place.removals.create()
    job.inputs.create(artifact=place.artifact, role="model")


def more_sweeps(job: Job) -> None:
    sweep = Sweep.objects.create(owner=job.owner, name="a sweep", parameter="t", over="t=0:1:1")
    sweep.merges.create(job=factories.make_job(job.owner), value=0)


def more_chains(job: Job) -> None:
    """A recipe, and a chain of one part."""
    owner, text = job.owner, "steps: [{train: sample-sft}]"
    kept = ChainRecipe.objects.create(owner=owner, name=f"recipe {job.pk}", text=text)
    chain = Chain.objects.create(
        owner=owner, name="a chain", text=text, kept=kept, machine=job.machine
    )
    chain.parts.create(step="train", nr=1, job=job)
    Gate.objects.create(job=job, on=factories.make_job(owner), words="it is good")


def more_data() -> None:
    """A version with a source and a report."""
    version = factories.make_version()
    version.reports.create()
    version.dataset.sources.create(origin="upload", name="rows.jsonl")


# How the metric store keeps points is its own affair: the admin shows them with their series.
OF_THE_STORE = {Block, MetricStore, MetricWrite}


def test_every_model_is_there() -> None:
    from django.apps import apps

    own = {model for app in OWN_APPS for model in apps.get_app_config(app).get_models()}
    assert set(MODELS) == own - OF_THE_STORE


def test_a_series_is_shown_with_its_figures_and_a_plot(boss: Client, everything: None) -> None:
    content = boss.get(f"/admin/monitoring/series/{Series.objects.get().pk}/change/").content
    text = content.decode()
    assert '<polyline points="0.0,0.0 480.0,120.0"/>' in text
    assert 'aria-label="Plot of train/loss"' in text
    assert re.findall(r'"readonly">([^<]*)<', text)[1:7] == [
        "train/loss",
        "2",
        "0.5",
        "0.5",
        "1.0",
        "2",
    ]


def named(model: Any) -> str:
    return str(model.__name__)


def test_every_page_is_titled_trainyard(boss: Client) -> None:
    for url in ("/admin/", "/admin/jobs/job/"):
        text = boss.get(url).content.decode()
        assert re.search(r"<title>[^<]*Trainyard\s*</title>", text)
        assert "Django" not in text


def test_every_list_can_be_searched_and_filtered() -> None:
    pages = {model: admin.site._registry[model] for model in MODELS}
    assert [model for model, page in pages.items() if not page.search_fields] == []
    assert [model for model, page in pages.items() if not page.list_filter] == []


@pytest.mark.parametrize("model", MODELS, ids=named)
def test_each_filter_answers(boss: Client, everything: None, model: type[Model]) -> None:
    url = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
    text = boss.get(url).content.decode()
    sidebar = text[text.index('id="changelist-filter"') :]
    links = {html.unescape(link) for link in re.findall(r'<a href="(\?[^"]+)"', sidebar)}
    assert links
    assert {link: boss.get(url + link).status_code for link in links} == dict.fromkeys(links, 200)


# Data sets get a name and an owner by hand, and prices are typed in; the others come from forms of
# their own, or from runs.
ADDED_BY_HAND = {"Dataset", "Pin", "Price"}
EDITED_BY_HAND = {
    "Dataset",
    "Job",
    "Machine",
    "Pin",
    "Price",
    "SavedRecipe",
}  # their names, and what is no measure


@pytest.mark.parametrize("model", MODELS, ids=named)
def test_what_the_platform_measures_is_not_added_or_edited(
    boss: Client, everything: None, model: type[Model]
) -> None:
    url = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
    row = model._default_manager.first()
    assert row is not None
    added = boss.get(f"{url}add/")
    assert (added.status_code == 200) == (model.__name__ in ADDED_BY_HAND)
    text = boss.get(f"{url}{row.pk}/change/").content.decode()
    form = text[text.index('<div id="content-main">') :]
    fields = re.findall(r'<(?:input|select|textarea)[^>]* name="(\w+)"', form)
    edited = [name for name in fields if name not in MANAGED]
    assert bool(edited) == (model.__name__ in EDITED_BY_HAND)


MANAGED = {"csrfmiddlewaretoken", "_save", "_continue", "_addanother"}


@pytest.mark.parametrize("model", MODELS, ids=named)
def test_list_and_page_of_each(boss: Client, everything: None, model: type[Model]) -> None:
    url = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
    assert boss.get(url).status_code == 200
    assert boss.get(f"{url}?q=a").status_code == 200
    row = model._default_manager.first()
    assert row is not None
    assert boss.get(f"{url}{row.pk}/change/").status_code == 200


@pytest.mark.parametrize("model", MODELS, ids=named)
def test_not_for_everyone(page: Client, everything: None, model: type[Model]) -> None:
    url = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
    assert page.get(url).status_code == 302


@pytest.mark.parametrize("model", MODELS, ids=named)
def test_a_list_takes_the_same_queries_for_one_row_and_three(
    boss: Client, everything: None, model: type[Model], user: User
) -> None:
    from tests.pages import queries

    url = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
    boss.get(url)
    one = queries(boss, url)
    more(model)
    assert queries(boss, url) == one


def more(model: type[Model]) -> None:
    """Two more rows, each with relations of its own."""
    for n in (5, 6):
        job = factories.make_job(machine=factories.make_machine())
        job.series.create(name=f"a{n}")
        now = timezone.now()
        rows: dict[str, dict[str, Any]] = {
            "Fetch": {"job": job, "step": n, "asked_at": now, "beat_at": now},
            "KnownDigest": {"key": str(n), "stamp": "1", "digest": "b", "used_at": now},
            "SystemSample": {
                "job": job,
                "at": now,
                "data": {},
                "attempt": 1,
                "position": n,
            },
            "Cursor": {"job": job, "attempt": n, "file": "x"},
            "Deletion": {"job": job, "number": job.pk, "name": "x"},
            "Event": {"job": job, "at": now, "kind": "x"},
            "Lease": {"job": job, "machine": job.machine, "device": n},
            "MachineEvent": {"machine": job.machine, "at": now, "kind": "checked"},
            "MachineSample": {"machine": job.machine, "at": now, "data": {}},
            "Price": {"machine": job.machine, "per_hour": n, "changed_at": now},
            "Rehearsal": {"job": job, "run": factories.make_job(job.owner)},
            "SavedRecipe": {"slug": f"my-{n}", "title": "x", "spec": {}, "owner": job.owner},
            "Tag": {"job": job, "name": "good"},
            "PinnedJob": {"job": job, "user": job.owner},
            "SavedView": {"owner": job.owner, "name": "a view"},
            "ListColumns": {"user": job.owner},
            "TrackerSecret": {"variable": f"V{n}", "value": "x", "set_at": now, "owner": job.owner},
        }
        if model.__name__ in rows:
            model._default_manager.create(**rows[model.__name__])
        elif model.__name__ in ("Artifact", "Place", "Removal", "JobInput"):
            more_artifacts(job)
        elif model.__name__ in ("Sweep", "Swept"):
            more_sweeps(job)
        elif model.__name__ in ("Chain", "ChainRecipe", "Gate", "Part"):
            more_chains(job)
        elif model.__name__ in ("Dataset", "Version", "Source", "Report"):
            more_data()


def act(boss: Client, action: str, *jobs: Job) -> Any:
    data = {"action": action, "_selected_action": [job.pk for job in jobs]}
    return boss.post("/admin/jobs/job/", data, follow=True)


def test_start(boss: Client, user: User, django_capture_on_commit_callbacks: OnCommit) -> None:
    draft, running = factories.make_job(user), factories.make_job(user, status="running")
    with django_capture_on_commit_callbacks(execute=True):
        response = act(boss, "start", draft, running)
    assert "1 of 2 queued." in response.content.decode()
    draft.refresh_from_db()
    assert draft.status == "queued"
    assert [(event.kind, event.who) for event in draft.events.all()] == [("queued", "root")]
    assert taskqueue.size() == 1


def test_stop(boss: Client, user: User) -> None:
    queued, ended = (factories.make_job(user, status=s) for s in ("queued", "completed"))
    assert "1 of 2 asked to stop." in act(boss, "stop", queued, ended).content.decode()
    queued.refresh_from_db()
    assert queued.status == "stopped"


def test_a_job_is_not_added_or_moved_by_hand(boss: Client, user: User) -> None:
    assert boss.get("/admin/jobs/job/add/").status_code == 403
    job = factories.make_job(user, name="old", status="running")
    boss.post(
        f"/admin/jobs/job/{job.pk}/change/",
        {
            "name": "new",
            "owner": user.pk,
            "status": "completed",
            "note": "the seed was wrong",
            "tags-TOTAL_FORMS": 1,
            "tags-INITIAL_FORMS": 0,
            "tags-0-name": "good",
            "events-TOTAL_FORMS": 0,
            "events-INITIAL_FORMS": 0,
        },
    )
    job.refresh_from_db()
    assert (job.name, job.status, job.note) == ("new", "running", "the seed was wrong")
    assert [tag.name for tag in job.tags.all()] == ["good"]


def test_a_running_job_is_not_deleted(boss: Client, user: User) -> None:
    job = factories.make_job(user, status="running")
    assert boss.post(f"/admin/jobs/job/{job.pk}/delete/", {"post": "yes"}).status_code == 403
    act(boss, "delete_selected", job)
    boss.post(
        "/admin/jobs/job/",
        {"action": "delete_selected", "_selected_action": [job.pk], "post": "yes"},
    )
    assert Job.objects.filter(pk=job.pk).exists()


def test_an_event_is_never_changed(boss: Client, everything: None) -> None:
    event = Event.objects.get()
    boss.post(f"/admin/jobs/event/{event.pk}/change/", {"kind": "forged"})
    boss.post(f"/admin/jobs/event/{event.pk}/delete/", {"post": "yes"})
    assert Event.objects.get().kind == "queued"


def test_no_job_is_deleted_without_its_files(boss: Client, user: User) -> None:
    job = factories.make_job(user, status="failed")
    answer = boss.post(f"/admin/jobs/job/{job.pk}/delete/", {"post": "yes"})
    assert answer.status_code == 403
    assert Job.objects.filter(pk=job.pk).exists()


def test_a_name_changed_in_the_admin_goes_through_the_service(boss: Client, user: User) -> None:
    job = factories.make_job(user, name="old")
    empty = {"TOTAL_FORMS": "0", "INITIAL_FORMS": "0"}
    inlines = {f"{name}-{key}": n for name in ("events", "tags") for key, n in empty.items()}
    form = {"name": "new", **inlines}
    assert boss.post(f"/admin/jobs/job/{job.pk}/change/", form).status_code == 302
    assert Event.objects.get(job=job).message == "from old"
    assert (
        boss.post(f"/admin/jobs/job/{job.pk}/change/", form | {"name": "a\x07b"}).status_code == 200
    )
    job.refresh_from_db()
    assert job.name == "new"


@pytest.mark.parametrize("model", ["schedule", "ormq"])
def test_no_page_of_the_admin_runs_any_function(boss: Client, model: str) -> None:
    assert boss.get(f"/admin/django_q/{model}/").status_code == 404


@pytest.mark.parametrize(
    ("model", "action"),
    [
        *((Artifact, action) for action in ("pin", "unpin", "delete_files")),
        *((model, action) for model in (Source, Version, Report) for action in ("again", "cancel")),
    ],
)
def test_who_may_only_look_is_offered_no_action(
    client: Client, user: User, everything: None, model: type[Model], action: str
) -> None:
    user.is_staff = True
    user.save()
    client.force_login(user)
    url = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
    option = f'<option value="{action}">'
    allow(user, model, "view")
    assert option not in client.get(url).content.decode()
    allow(user, model, "change")
    assert option in client.get(url).content.decode()


def allow(user: User, model: type[Model], verb: str) -> None:
    codename = f"{verb}_{model._meta.model_name}"
    user.user_permissions.add(Permission.objects.get(codename=codename))


@pytest.mark.parametrize("path", ["", "datasets/", "datasets/source/", "datasets/version/"])
def test_data_sets_have_two_words(boss: Client, everything: None, path: str) -> None:
    content = boss.get(f"/admin/{path}").content.decode()
    shown = re.sub(r"<(script|style)\b.*?</\1>|<[^>]*>", " ", content, flags=re.DOTALL)
    assert re.search(r"data set", shown, re.IGNORECASE)
    assert not re.search(r"\bdatasets?\b", shown, re.IGNORECASE)


def test_times_have_24_hours(boss: Client, user: User) -> None:
    at = timezone.now().replace(hour=16, minute=5, second=7)
    Event.objects.create(job=factories.make_job(user), at=at, kind="queued")
    content = boss.get("/admin/jobs/event/").content.decode()
    assert f"{at:%Y-%m-%d} 16:05:07" in content
    assert not re.search(r"\b[ap]\.m\.", content)
