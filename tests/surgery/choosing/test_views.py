"""The checkpoints of runs in a table, the choice among them, and deleting the rest."""

import json
import re

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoCaptureOnCommitCallbacks

from jobs.artifacts.keeping import keep_made
from jobs.models import Artifact, Job, Place, Removal, Status
from surgery.choosing import tidying
from tests import factories, taskqueue
from tests.pages import HTMX, asks_for_login, queries, refuses_other_methods

pytestmark = pytest.mark.usefixtures("queue")
SIZES = {10: 1024, 20: 2048, 30: 4096, 40: 8192}
LOSSES = {10: 2.0, 20: 1.5, 30: 1.75, 40: 3.0}
KEEP = {"by": "validation", "best": "1", "metric": "", "formula": "", "side": ""}
TRAINING = {10: 2.0, 20: 1.5, 30: 1.25, 40: 1.0}


def run_of(user: User, name: str, sizes: dict[int, int]) -> Job:
    job = factories.make_job(user, name=name, status=Status.COMPLETED)
    factories.keep_checkpoints(job, sizes)
    factories.add_points(job, "val/loss", {step: LOSSES[step] for step in sizes})
    factories.add_points(job, "train/loss", {step: TRAINING[step] for step in sizes})
    return job


@pytest.fixture
def job(user: User) -> Job:
    return run_of(user, "a <run>", SIZES)


@pytest.fixture
def url(job: Job) -> str:
    return f"/surgery/checkpoints/{job.pk}/"


def text_of(page: Client, url: str) -> str:
    response = page.get(url)
    assert response.status_code == 200
    return response.content.decode()


def steps(page: Client, url: str) -> list[int]:
    return [row.saved.step for row in page.get(url).context["page"].object_list]


def seen_at(page: Client, url: str) -> str:
    """What the form of a preview sends along."""
    found = re.search(r'name="seen" value="([^"]*)"', text_of(page, url))
    assert found
    return found[1]


def test_the_table(page: Client, url: str) -> None:
    text = text_of(page, url)
    assert "Checkpoints of a &lt;run&gt;" in text
    assert "8.0 KiB" in text
    assert "resumable" in text
    assert "val/loss is 3, and was 1.5 at step 20; train/loss went from 1.5 to 1." in text
    assert "Validation is more than 2 % worse" in text
    assert page.get(url).context["table"].columns == ["val/loss", "train/loss"]


def test_sorted_and_filtered(page: Client, url: str, job: Job) -> None:
    assert steps(page, url) == [40, 30, 20, 10]
    assert steps(page, f"{url}?sort=val/loss") == [20, 30, 10, 40]
    assert steps(page, f"{url}?sort=-size&only=whole&page=99") == [40, 30, 20, 10]
    assert steps(page, f"{url}?sort=nonsense&only=nonsense") == [10, 20, 30, 40]
    assert steps(page, f"{url}?only=flagged") == [40, 30]
    assert steps(page, f"{url}?only=broken") == []
    job.artifacts.filter(step=10).update(pinned_by="ada", pinned_at=job.created_at)
    assert steps(page, f"{url}?only=pinned") == [10]
    part = page.get(url, headers=HTMX).content.decode()
    assert part.lstrip().startswith("<section")


def test_the_choice_with_its_reason(page: Client, url: str) -> None:
    text = text_of(page, f"{url}?by=validation")
    assert "Chosen: checkpoint of step 20" in text
    assert "has the lowest val/loss, 1.5, of 4." in text
    assert "Checkpoint of step 30: 1.75, 0.25 behind" in text
    assert "Use as the model of a new job" in text
    text = text_of(page, f"{url}?by=formula&formula=m%5B%22train%2Floss%22%5D&side=lower")
    assert "Chosen: checkpoint of step 40" in text


def test_what_is_not_whole_is_not_chosen(page: Client, url: str, job: Job) -> None:
    job.artifacts.filter(step=20).update(is_whole=False, fault="A shard is missing.")
    text = text_of(page, f"{url}?by=validation")
    assert "Chosen: checkpoint of step 30" in text
    assert "A shard is missing." in text


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("by=formula&formula=open(1)", "may not be called in a formula"),
        ("by=formula", "The formula is empty."),
        ("by=metric", "Name a metric."),
        ("by=metric&metric=none/loss", "No checkpoint has a value of none/loss"),
        ("by=pareto", "Name one."),
        ("by=huh", "huh is not one of the available choices"),
    ],
)
def test_what_cannot_be_chosen_by_is_said(
    page: Client, url: str, query: str, sentence: str
) -> None:
    response = page.get(f"{url}?{query}")
    assert response.status_code == 422
    assert sentence in response.content.decode()


def test_several_jobs(page: Client, user: User, job: Job) -> None:
    second = run_of(user, "second", {10: 1})
    address = f"/surgery/checkpoints/?job={job.pk}&job={second.pk}"
    text = text_of(page, f"{address}&by=validation")
    assert f"Chosen: checkpoint of step 20 of job {job.pk}" in text
    assert "second" in text
    assert len(steps(page, address)) == 5
    assert page.get("/surgery/checkpoints/").status_code == 404
    assert page.get("/surgery/checkpoints/?job=x").status_code == 404
    assert page.get("/surgery/checkpoints/?job=999999").status_code == 404


def model_of(owner: User, reads: Artifact, kind: str, name: str, size: int = 16) -> Artifact:
    """What a job of this kind made of an artifact."""
    job = factories.make_job(owner, kind=kind, spec={}, name=name, status=Status.COMPLETED)
    job.inputs.create(artifact=reads, role="checkpoint")
    return keep_made(
        job, Artifact.Kind.HUGGINGFACE, "model", f"{job.run_dir}/model", size=size, has_model=True
    )


@pytest.fixture
def merged(user: User, job: Job) -> Artifact:
    """A merge of the export of step 20."""
    exported = model_of(user, job.artifacts.get(step=20), "export", "the <export>", 8)
    return model_of(user, exported, "merge", "the merge")


def test_what_was_made_from_checkpoints_stands_with_them(
    page: Client, url: str, job: Job, merged: Artifact
) -> None:
    shown = page.get(url).context["page"].object_list
    assert [(row.name, row.states, row.artifact.size) for row in shown[4:]] == [
        ("the merge", ["Hugging Face", "merged"], 16),
        ("the <export>", ["Hugging Face", "exported"], 8),
    ]
    text = text_of(page, f"{url}?by=validation")
    assert "the &lt;export&gt;" in text
    assert "Chosen: checkpoint of step 20" in text, "what has no metric is not chosen"
    assert "what is known of it, evaluations found" in text
    assert f'href="/jobs/new/on/{merged.pk}/"' in text
    assert "evaluations found" not in text_of(page, f"{url}keep/?by=validation&best=1")
    assert names(page, f"{url}?only=made&sort=size") == ["the <export>", "the merge"]
    assert len(names(page, f"{url}?only=saved")) == 4
    assert names(page, f"/surgery/checkpoints/{merged.job_id}/") == ["the merge"]


def test_what_is_gone_or_somebody_else_s_is_not_listed(
    page: Client, other: User, url: str, job: Job, merged: Artifact
) -> None:
    model_of(other, job.artifacts.get(step=20), "merge", "theirs")
    assert names(page, f"{url}?only=made") == ["the merge", "the <export>"]
    merged.places.update(gone_at=timezone.now())
    assert names(page, f"{url}?only=made") == ["the <export>"]


def test_another_run_on_a_model_is_not_of_this_one(
    page: Client, user: User, url: str, merged: Artifact
) -> None:
    run = factories.make_job(user, status=Status.COMPLETED)
    run.inputs.create(artifact=merged, role="model")
    factories.keep_checkpoints(run, {5: 1})
    model_of(user, run.artifacts.get(), "export", "of another run")
    assert names(page, f"{url}?only=made") == ["the merge", "the <export>"]


@pytest.mark.parametrize("way", ["average", "new"])
def test_those_that_are_ticked_are_chosen_in_the_form(
    page: Client, url: str, job: Job, way: str
) -> None:
    text = text_of(page, url)
    assert '<form id="pick"' in text
    ticked = [job.artifacts.get(step=step) for step in (20, 30)]
    assert all(
        f'name="from" value="{each.pk}" form="pick"' in " ".join(text.split()) for each in ticked
    )
    query = "&".join(f"from={each.pk}" for each in ticked)
    assert 'formaction="/surgery/new/"' in text
    context = page.get(f"/surgery/{way}/?{query}").context
    form = context["form" if way == "average" else "write"]
    assert form["models"].value() == [each.places.get().path for each in ticked]


def names(page: Client, url: str) -> list[str]:
    return [row.name for row in page.get(url).context["page"].object_list]


def test_one_that_may_go_on_offers_it(page: Client, url: str, job: Job) -> None:
    address = f"/jobs/{job.pk}/resume/?step=20"
    assert address not in text_of(page, url)
    Job.objects.filter(pk=job.pk).update(status=Status.STOPPED, started_at=timezone.now())
    assert address in text_of(page, url)


def test_as_many_queries_for_three_rows_as_for_one(page: Client, user: User) -> None:
    one = run_of(user, "one", {10: 1})
    three = run_of(user, "three", {10: 1, 20: 1, 30: 1})
    model_of(user, one.artifacts.get(), "merge", "a merge")
    for step in (10, 20, 30):
        model_of(user, three.artifacts.get(step=step), "merge", f"merge {step}")
    address = "/surgery/checkpoints/{}/?by=validation"
    assert queries(page, address.format(one.pk)) == queries(page, address.format(three.pk))


def test_keeping_the_best_shows_what_goes(page: Client, url: str, job: Job) -> None:
    job.artifacts.filter(step=10).update(pinned_by="ada", pinned_at=job.created_at)
    text = text_of(page, f"{url}keep/?by=validation&best=1")
    assert "Step 20. It is the chosen one." in text
    assert "Step 40. It is the newest that the run can be resumed from." in text
    assert "Step 10. It is pinned by ada." in text
    assert "4.0 KiB are freed on" in text
    assert "Delete 1" in text
    assert text_of(page, f"{url}keep/").count("Delete 1") == 0


def test_what_was_previewed_is_deleted_and_nothing_else(page: Client, url: str, job: Job) -> None:
    seen = seen_at(page, f"{url}keep/?by=validation&best=1")
    previewed = [Place.objects.get(artifact__job=job, artifact__step=step).pk for step in (10, 30)]
    for other in ("", seen_at(page, f"{url}keep/?by=validation&best=2")):
        response = page.post(f"{url}keep/", {**KEEP, "seen": other})
        assert response.status_code == 422
        assert "has changed since" in response.content.decode()
    assert not Removal.objects.exists()
    response = page.post(f"{url}keep/", {**KEEP, "seen": seen})
    assert response.headers["Location"] == url
    assert sorted(Removal.objects.values_list("place", flat=True)) == sorted(previewed)
    assert steps(page, url) == [40, 20]


def test_nothing_goes_by_a_preview_that_did_not_say_what_is_lost(
    page: Client, user: User, url: str, job: Job
) -> None:
    seen = seen_at(page, f"{url}keep/?by=validation&best=1")
    draft = factories.make_job(user)
    draft.inputs.create(artifact=job.artifacts.get(step=30), role="model")
    response = page.post(f"{url}keep/", {**KEEP, "seen": seen})
    assert response.status_code == 422
    assert f"Job {draft.pk}, a draft, is to read it" in response.content.decode()
    assert not Removal.objects.exists()
    fresh = response.context["plan"].digest
    assert page.post(f"{url}keep/", {**KEEP, "seen": fresh}).status_code == 302
    assert Removal.objects.count() == 2


def test_keeping_makes_as_many_queries_for_many_as_for_few(page: Client, user: User) -> None:
    few, many = (factories.make_job(user, status=Status.COMPLETED) for _ in range(2))
    for job, count in ((few, 4), (many, 60)):
        factories.keep_checkpoints(job, dict.fromkeys(range(1, count), 1))
        factories.add_points(job, "val/loss", {step: float(step) for step in range(1, count)})
    address = "/surgery/checkpoints/{}/keep/?by=validation&best=1"
    assert queries(page, address.format(few.pk)) == queries(page, address.format(many.pk))


def test_many_go_in_parts(
    page: Client,
    url: str,
    monkeypatch: pytest.MonkeyPatch,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    monkeypatch.setattr(tidying, "MOST_AT_ONCE", 1)
    for left in (1, 0):
        response = page.get(f"{url}keep/?by=validation&best=1")
        planned = response.context["plan"]
        assert (planned.later, len(planned.rest)) == (left, 1)
        assert (f"{left} more would go" in response.content.decode()) == bool(left)
        with django_capture_on_commit_callbacks(execute=True):
            assert page.post(f"{url}keep/", {**KEEP, "seen": planned.digest}).status_code == 302
    assert steps(page, url) == [40, 20]
    assert taskqueue.size() == 2


def test_what_a_waiting_job_reads_stays(page: Client, user: User, url: str, job: Job) -> None:
    waiting = factories.make_job(user, status=Status.QUEUED)
    waiting.inputs.create(artifact=job.artifacts.get(step=30), role="model")
    text = text_of(page, f"{url}keep/?by=validation&best=1")
    assert f"Step 30. Job {waiting.pk} reads it, which is queued." in text


def test_what_the_run_goes_on_from_stays_and_what_is_unknown(
    page: Client, user: User, url: str, job: Job
) -> None:
    """The second attempt went on from step 20: steps 30 and 40 are another story by now."""
    Job.objects.filter(pk=job.pk).update(attempt=2)
    job.events.create(kind="resumed", at=timezone.now(), attempt=2, data={"step": 20})
    text = text_of(page, f"{url}keep/?by=metric&metric=train/loss&side=higher&best=1")
    assert "Step 10. It is the chosen one." in text
    assert "Step 20. It is the newest that the run can be resumed from." in text
    other = factories.make_job(user, status=Status.COMPLETED)
    factories.keep_checkpoints(other, SIZES)
    factories.add_points(other, "val/loss", {10: 1.0, 40: 2.0})
    text = text_of(page, f"/surgery/checkpoints/{other.pk}/keep/?by=validation&best=1")
    assert "Step 20. val/loss is not known at step 20." in text


def test_where_nothing_is_known_nothing_goes(page: Client, user: User) -> None:
    job = factories.make_job(user, status=Status.COMPLETED)
    factories.keep_checkpoints(job, SIZES)
    address = f"/surgery/checkpoints/{job.pk}/keep/"
    response = page.post(address, {"by": "validation", "best": "1"})
    assert response.status_code == 422
    assert "No checkpoint was validated at its step." in response.content.decode()
    factories.add_points(job, "val/loss", {10: float("nan")})
    assert "There is nothing that may go." in text_of(page, f"{address}?by=validation&best=1")


def test_someone_else_s_is_404_and_login_is_asked_for(
    client: Client, other: User, url: str, job: Job
) -> None:
    urls = [url, f"{url}keep/", f"/surgery/checkpoints/?job={job.pk}"]
    assert all(asks_for_login(each) for each in urls)
    client.force_login(other)
    assert [client.get(each).status_code for each in urls] == [404, 404, 404]
    assert client.post(f"{url}keep/", {"by": "validation", "best": "1"}).status_code == 404


def test_other_methods(page: Client, url: str, job: Job) -> None:
    assert refuses_other_methods(page, url, "get")
    assert refuses_other_methods(page, f"/surgery/checkpoints/?job={job.pk}", "get")
    assert refuses_other_methods(page, f"{url}keep/", "get", "post")


def told(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, object]:
    call_command("choose", *words, "--json")
    found: dict[str, object] = json.loads(capsys.readouterr().out)
    return found


def test_the_command(staff: User, job: Job, capsys: pytest.CaptureFixture[str]) -> None:
    data = told(capsys, str(job.pk))
    assert data["value"] == 1.5
    assert data["runners_up"] == [
        {"step": 30, "value": 1.75, "distance": 0.25},
        {"step": 10, "value": 2.0, "distance": 0.5},
        {"step": 40, "value": 3.0, "distance": 1.5},
    ]
    data = told(capsys, str(job.pk), "--by", "train/loss", "--keep", "2")
    assert [data["freed_bytes"], data["is_deleted"]] == [3072, False]
    assert not Removal.objects.exists()
    data = told(capsys, str(job.pk), "--by", "train/loss", "--keep", "2", "--delete")
    assert [data["freed_bytes"], data["is_deleted"], data["refused"]] == [3072, True, []]
    left = Artifact.objects.there().order_by("step")
    assert list(left.values_list("step", flat=True)) == [30, 40]


def test_the_list_as_a_command(
    job: Job, merged: Artifact, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--metric", "val/loss", "--sort", "size", "--reverse", "--json"]
    call_command("checkpoints", str(job.pk), *words)
    rows = json.loads(capsys.readouterr().out)
    assert [(row["step"], row["bytes"], row["metrics"]["val/loss"]) for row in rows] == [
        (40, 8192, 3.0), (30, 4096, 1.75), (20, 2048, 1.5), (10, 1024, 2.0),
        (None, 16, None), (None, 8, None),
    ]  # fmt: skip
    assert [flag["flag"] for flag in rows[0]["flags"]] == ["overfitting"]
    assert rows[4]["states"] == ["Hugging Face", "merged"]
    assert rows[4]["folder"].endswith("/model")
    call_command("checkpoints", str(job.pk), "--metric", "val/loss")
    lines = capsys.readouterr().out.splitlines()
    assert "val/loss 3 " in lines[0]
    assert lines[4].endswith(f"merged by job {merged.job_id}")
    assert "val/loss ?" in lines[4]
    for words in (["--metric", "none"], ["--sort", "none"]):
        with pytest.raises(CommandError, match="none"):
            call_command("checkpoints", str(job.pk), *words)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--delete"], "say how many stay"),
        (["--keep", "0"], "Keep one at least"),
        (["--formula", "eval(1)"], "may not be called"),
        (["--by", "none"], "its name does not say"),
        (["--pareto"], "Name one"),
    ],
)
def test_the_command_refuses(job: Job, words: list[str], sentence: str) -> None:
    with pytest.raises(CommandError, match=sentence):
        call_command("choose", str(job.pk), *words)
