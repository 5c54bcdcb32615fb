"""The lineage as a drawing, and making something again."""

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from compute.models import Machine
from jobs.artifacts.lineage import lineage
from jobs.launch.submit import submit
from jobs.models import Artifact, Job, JobInput, Status
from platform_site.drawing import WIDE
from surgery.kinds.convert import ConvertSpec
from surgery.lineage.graph import drawn
from tests import factories
from tests.pages import asks_for_login, queries, refuses_other_methods

pytestmark = pytest.mark.usefixtures("queue")


def follow(user: User, on: Artifact, name: str) -> Artifact:
    job = factories.make_job(user, name=name, status=Status.COMPLETED)
    JobInput.objects.create(job=job, artifact=on, role="model")
    factories.keep_checkpoints(job, {10: 5})
    return job.artifacts.get()


@pytest.fixture
def base(user: User) -> Artifact:
    return Artifact.objects.create(
        kind="huggingface", name="a <base>", owner=user, digest="0123456789abcdef" * 4
    )


@pytest.fixture
def made(user: User, base: Artifact) -> Artifact:
    return follow(user, base, "sft")


def url(artifact: Artifact) -> str:
    return f"/surgery/lineage/artifact/{artifact.pk}/"


def test_what_was_made_stands_below_what_it_was_made_from(user: User, made: Artifact) -> None:
    follow(user, made, "rl")
    graph = drawn(lineage(made, "up", user), lineage(made, "down", user))
    assert {box.name: (box.x, box.y) for box in graph.boxes} == {
        "a <base>": (20, 20),
        "sft": (20, 128),
        "checkpoint of step 10": (20, 236),
        "rl": (20, 344),
    }
    assert sorted(line.points for line in graph.drawing.lines) == [
        "130,192 130,236",
        "130,300 130,344",
        "130,84 130,128",
    ]
    assert (graph.drawing.width, graph.drawing.height) == (260, 428)
    assert (graph.left_out, graph.is_cut) == (0, False)


def test_a_line_that_passes_by_boxes_goes_around_them(
    user: User, base: Artifact, made: Artifact
) -> None:
    """A job reads the base and what was made of it: both are seen to lead to it."""
    merge = follow(user, made, "merge").job
    assert merge is not None
    JobInput.objects.create(job=merge, artifact=base, role="model")
    data = Artifact.objects.create(kind="dataset", name="data", owner=user)
    JobInput.objects.create(job=merge, artifact=data, role="data")
    graph = drawn(lineage(merge, "up", user), lineage(merge, "down", user))
    [around] = [line for line in graph.drawing.lines if len(line.corners) > 2]
    right = max(box.x + WIDE for box in graph.boxes if box.y in (128, 236))
    assert around.points == f"130,84 {right + 20},128 {right + 20},300 130,344"
    assert graph.drawing.width == right + 40
    [box] = [box for box in graph.boxes if box.name == "data"]
    assert (box.x, box.y) == (260, 236), "just above what reads it"


def test_the_page(page: Client, made: Artifact, base: Artifact) -> None:
    text = page.get(url(made)).content.decode()
    assert "a &lt;base&gt;" in text
    assert "0123456789ab…" in text
    assert "style=" not in text.partition("<svg width")[2].partition("</main>")[0]
    assert f'href="{base.get_absolute_url()}"' in text
    assert f"/surgery/again/{made.job_id}/" in text
    assert page.get(f"/surgery/lineage/job/{made.job_id}/").status_code == 200


def test_a_large_graph_is_bounded(user: User, base: Artifact) -> None:
    for number in range(70):
        job = factories.make_job(user, name=f"run {number}")
        JobInput.objects.create(job=job, artifact=base, role="model")
    graph = drawn(lineage(base, "up", user), lineage(base, "down", user))
    assert (len(graph.boxes), graph.left_out) == (60, 11)


def test_the_nearest_of_both_sides_are_drawn(user: User, made: Artifact) -> None:
    """What was made of it is nearer than what the run that made it has read."""
    follow(user, made, "rl")
    sft = Job.objects.get(name="sft")
    for number in range(70):
        data = Artifact.objects.create(kind="dataset", name=f"data {number}", owner=user)
        JobInput.objects.create(job=sft, artifact=data, role="data")
    graph = drawn(lineage(made, "up", user), lineage(made, "down", user))
    names = [box.name for box in graph.boxes]
    assert names[:3] == ["checkpoint of step 10", "sft", "rl"]
    assert (len(names), graph.left_out) == (60, 14)


def test_as_many_queries_for_three_rows_as_for_one(
    page: Client, user: User, base: Artifact, made: Artifact
) -> None:
    one = queries(page, url(base))
    follow(user, base, "second")
    follow(user, base, "third")
    assert queries(page, url(base)) == one


def test_making_again_queues_the_same(page: Client, user: User, made: Artifact) -> None:
    job = made.job
    assert job is not None
    address = f"/surgery/again/{job.pk}/"
    response = page.get(address)
    assert "Queue it" in response.content.decode()
    data = {"uuid": str(response.context["uuid"])}
    assert page.post(address, data).status_code == page.post(address, data).status_code == 302
    copy = Job.objects.get(uuid=data["uuid"])
    assert (copy.name, copy.spec, copy.machine_id) == ("sft, again", job.spec, job.machine_id)
    assert copy.status == Status.QUEUED


def test_another_s_number_of_a_form_makes_nothing_and_can_be_sent_again(
    page: Client, other: User, made: Artifact
) -> None:
    theirs = factories.make_job(other)
    address = f"/surgery/again/{made.job_id}/"
    response = page.post(address, {"uuid": str(theirs.uuid)})
    assert response.status_code == 422
    assert "Queue it once more." in response.content.decode()
    fresh = str(response.context["uuid"])
    assert page.post(address, {"uuid": fresh}).status_code == 302
    assert Job.objects.get(uuid=fresh).status == Status.QUEUED


def test_a_number_that_made_another_job_can_be_sent_once_more(
    page: Client, user: User, made: Artifact
) -> None:
    first = factories.make_job(
        user, status=Status.QUEUED, spec=factories.sft_spec(lr=0.5).to_json()
    )
    address = f"/surgery/again/{made.job_id}/"
    response = page.post(address, {"uuid": str(first.uuid)})
    assert response.status_code == 422
    assert "Send it once more for a further job." in response.content.decode()
    fresh = str(response.context["uuid"])
    assert page.post(address, {"uuid": fresh}).status_code == 302
    assert made.job is not None
    assert Job.objects.get(uuid=fresh).spec == made.job.spec


@pytest.fixture
def awaiting(user: User) -> Job:
    """A job that begins with what another has yet to make."""
    source = factories.make_job(user, name="the <source>", status=Status.QUEUED)
    order = factories.make_order(user, after=source, after_checkpoint=True)
    return submit(order, start=True)


def test_made_again_it_awaits_the_same_model(page: Client, awaiting: Job) -> None:
    address = f"/surgery/again/{awaiting.pk}/"
    response = page.get(address)
    assert "the &lt;source&gt;</a> has yet to make" in response.content.decode()
    assert page.post(address, {"uuid": str(response.context["uuid"])}).status_code == 302
    copy = Job.objects.get(uuid=response.context["uuid"])
    assert copy.after == awaiting.after
    assert [each.source for each in copy.awaited] == [awaiting.after]


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"status": Status.FAILED}, "whose model it is to begin with, is failed."),
        ({"deleting_at": timezone.now()}, "whose model it is to begin with, is being deleted."),
        (None, "The job whose model it was to begin with is gone."),
    ],
)
def test_what_will_never_be_made_is_not_awaited(
    page: Client, awaiting: Job, changed: dict[str, object] | None, sentence: str
) -> None:
    source = Job.objects.filter(name="the <source>")
    if changed:
        source.update(**changed)
    else:
        source.delete()
    response = page.post(f"/surgery/again/{awaiting.pk}/")
    assert response.status_code == 422
    assert sentence in response.content.decode()


def test_on_a_machine_that_takes_no_jobs_nothing_is_made(page: Client, made: Artifact) -> None:
    address = f"/surgery/again/{made.job_id}/"
    Machine.objects.update(python="")
    response = page.post(address)
    assert response.status_code == 422
    assert "takes no jobs any more" in response.content.decode()
    assert Job.objects.count() == 1


def test_the_bytes_are_compared(page: Client, user: User, made: Artifact) -> None:
    other = follow(user, made, "same settings")
    Artifact.objects.filter(pk__in=[made.pk, other.pk]).update(digest="a" * 64)
    address = f"/surgery/again/{made.job_id}/"
    assert "All 2 made the same bytes." in page.get(address).content.decode()
    Artifact.objects.filter(pk=other.pk).update(digest="b" * 64)
    assert "did not make the same bytes" in page.get(address).content.decode()


def test_someone_else_s_is_404(client: Client, other: User, made: Artifact) -> None:
    job = made.job_id
    urls = [url(made), f"/surgery/lineage/job/{job}/", f"/surgery/again/{job}/"]
    assert all(asks_for_login(each) for each in urls)
    client.force_login(other)
    assert [client.get(each).status_code for each in urls] == [404, 404, 404]
    assert client.post(urls[2]).status_code == 404


def test_other_methods(page: Client, made: Artifact) -> None:
    assert refuses_other_methods(page, url(made), "get")
    assert refuses_other_methods(page, f"/surgery/again/{made.job_id}/", "get", "post")


def test_a_kind_that_makes_the_same_bytes_says_so(page: Client, user: User) -> None:
    spec = ConvertSpec("/m/a", dtype="float32").to_json()
    jobs = [
        factories.make_job(user, kind="convert", spec=spec, status=Status.COMPLETED)
        for _ in range(2)
    ]
    for job, digest in zip(jobs, ("a" * 64, "b" * 64), strict=True):
        Artifact.objects.create(
            kind=Artifact.Kind.HUGGINGFACE, owner=user, name="model", job=job, digest=digest
        )
    said = page.get(f"/surgery/again/{jobs[0].pk}/").content.decode()
    said = " ".join(said.split())
    assert "same bytes as long as its inputs and the versions of the software are the same." in said
    assert (
        "The 2 did not make the same bytes. The same inputs and versions of the software would "
        "have made them: one or the other differs."
    ) in said
