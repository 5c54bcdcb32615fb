"""The pages of chains and of their recipes, and the command."""

import json
import uuid as uuids
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from compute.machines.local import local_machine
from evaluations.chains import advancing, scheduling, services
from evaluations.chains.models import Chain, ChainRecipe
from evaluations.chains.scheduling import next_after
from jobs.models import Job, Status
from tests import taskqueue
from tests.evaluations.chains.runs import TWO, ended, job_of, moved, started
from tests.pages import asks_for_login, queries, refuses_other_methods
from tests.surgery.models import model

pytestmark = [
    pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("queue", "samples"),
]  # fmt: skip
NEW, LIST, RECIPES = (
    "/evaluations/chains/new/", "/evaluations/chains/", "/evaluations/chains/recipes/",
)  # fmt: skip


def form(text: str = TWO, **fields: object) -> dict[str, object]:
    given = {"uuid": uuids.uuid4(), "text": text, "name": "", "action": "start"}
    return {**given, "machine": local_machine().pk, **fields}


def test_the_form_starts_a_chain_once(page: Client, user: User) -> None:
    data = form(name="<b>mine</b>")
    responses = [page.post(NEW, data) for _ in range(2)]
    chain = Chain.objects.get()
    assert {response.headers["Location"] for response in responses} == {chain.get_absolute_url()}
    shown = page.get(chain.get_absolute_url()).content.decode()
    assert "&lt;b&gt;mine&lt;/b&gt;" in shown
    changed = page.post(NEW, data | {"text": TWO.replace("name: Two", "name: Other")})
    assert changed.status_code == 422
    assert "has started the chain" in changed.content.decode()
    assert Chain.objects.count() == 1


def test_check_says_what_it_should_take_and_starts_nothing(page: Client, user: User) -> None:
    shown = page.post(NEW, form(action="check")).content.decode()
    assert "Nothing that can be known before the start speaks against this chain." in shown
    assert "No such job has completed on" in shown
    chain = started(TWO, user)
    job = job_of(chain, "sft")
    ended(job)
    Job.objects.filter(pk=job.pk).update(
        started_at=datetime(2026, 1, 1, tzinfo=UTC), ended_at=datetime(2026, 1, 1, 0, 2, tzinfo=UTC)
    )
    shown = page.post(NEW, form(action="check")).content.decode()
    assert f"As long as job {job.pk}, the last one of its kind there." in shown
    assert "2 m 00 s" in shown
    assert Chain.objects.count() == 1


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("steps: [{train: nothing}]", "Step train: There is no recipe nothing"),
        ("steps: [{train: a, model: b}]", "no step before it has that name"),
        ("steps: [", "The recipe is no YAML"),
        ("\0", ""),
        ("steps: [{train: sample-sft, machine: away}]", "There is no machine away"),
        ("steps: [{models: /etc}]", "Step models:"),
        ("steps: [{train: sample-grpo}, {name: b, train: sample-sft, model: train}]",
         "leaves no model to train on"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_at_the_recipe(page: Client, text: str, sentence: str) -> None:
    response = page.post(NEW, form(text))
    assert response.status_code == 422
    assert sentence in response.content.decode()
    assert not Chain.objects.exists()


def test_a_chain_is_its_owners(page: Client, client: Client, user: User, other: User) -> None:
    chain = started(TWO, user)
    kept = ChainRecipe.objects.create(owner=user, name="kept", text=TWO)
    client.force_login(other)
    for url in (
        chain.get_absolute_url(), kept.get_absolute_url(), f"{NEW}?from=chain-{chain.pk}",
        f"{NEW}?from=recipe-{kept.pk}", f"{NEW}?from=nothing",
    ):  # fmt: skip
        assert client.get(url).status_code == 404
    assert client.post(f"{chain.get_absolute_url()}stop/").status_code == 404
    assert "Two" not in client.get(LIST).content.decode()
    client.force_login(user)
    urls = (LIST, NEW, RECIPES, chain.get_absolute_url(), kept.get_absolute_url())
    assert all(asks_for_login(url) for url in urls)
    assert refuses_other_methods(client, LIST, "get")
    assert refuses_other_methods(client, NEW, "get", "post")
    assert refuses_other_methods(client, f"{chain.get_absolute_url()}stop/", "post")


def test_the_page_shows_how_it_stands(page: Client, user: User) -> None:
    chain = started(TWO, user)
    job = job_of(chain, "sft")
    shown = page.get(chain.get_absolute_url()).content.decode()
    assert job.get_absolute_url() in shown
    assert "After sft." in shown
    assert 'hx-trigger="every 3s"' in shown
    ended(job, Status.FAILED)
    moved(chain)
    shown = page.get(chain.get_absolute_url()).content.decode()
    assert "every 3s" not in shown
    assert "It broke." in shown
    response = page.post(f"{chain.get_absolute_url()}resume/", follow=True)
    assert "Two goes on." in response.content.decode()
    assert "Two is running." in page.post(
        f"{chain.get_absolute_url()}resume/", follow=True
    ).content.decode()  # fmt: skip
    page.post(f"{chain.get_absolute_url()}stop/")
    chain.refresh_from_db()
    assert chain.state == Chain.State.STOPPED
    assert page.post(f"{chain.get_absolute_url()}eat/").status_code == 404


def test_the_list_filters_sorts_and_pages_with_as_many_queries(page: Client, user: User) -> None:
    for name in "abc":
        services.start(TWO, user, name=name)
    one = queries(page, f"{LIST}?q=a")
    assert queries(page, LIST) == one
    shown = page.get(f"{LIST}?sort=name&state=running").content.decode()
    assert shown.index(">a</a>") < shown.index(">b</a>")
    assert "No chain matches" in page.get(f"{LIST}?state=failed").content.decode()
    page.get(f"{LIST}?sort=-evil&page=x&q=%00")


def test_a_page_of_many_parts_takes_as_many_queries(page: Client, user: User) -> None:
    chain = started(TWO, user)
    one = queries(page, chain.get_absolute_url())
    for nr in range(2, 12):
        job = Job.objects.get(pk=job_of(chain, "sft").pk)
        job.pk, job.uuid = None, uuids.uuid4()
        job.save()
        chain.parts.create(step="sft", nr=nr, job=job, asked=job.pk)
    assert queries(page, chain.get_absolute_url()) == one


def test_a_recipe_is_kept_changed_and_deleted(page: Client, user: User) -> None:
    data = form(name="nightly", every="day", first_at="2030-01-01 02:00")
    late = page.post(RECIPES, data | {"first_at": "9999-12-31 23:59"})
    assert "more than ten years away" in late.content.decode()
    kept_at = page.post(RECIPES, data).headers["Location"]
    kept = ChainRecipe.objects.get()
    assert kept_at == kept.get_absolute_url()
    assert kept.next_at == timezone.make_aware(datetime(2030, 1, 1, 2))
    assert "You have a recipe nightly already." in page.post(RECIPES, data).content.decode()
    page.post(kept_at, data | {"every": "", "first_at": "", "name": "by hand"})
    kept.refresh_from_db()
    assert (kept.name, kept.every) == ("by hand", "")
    assert not ChainRecipe.objects.exclude(next_at=None).exists()
    assert page.post(kept_at, data | {"text": "x"}).status_code == 422
    page.post(kept_at, {"action": "delete"})
    assert not ChainRecipe.objects.exists()


def test_it_starts_at_its_times_once(user: User) -> None:
    due = timezone.now() - timedelta(hours=5)
    kept = ChainRecipe.objects.create(
        owner=user, name="nightly", text=TWO, every="hour", next_at=due
    )
    for _ in range(2):
        scheduling.kick_due()
        taskqueue.work()
    assert Chain.objects.get().kept == kept
    kept.refresh_from_db()
    assert kept.next_at
    assert timezone.now() < kept.next_at <= timezone.now() + timedelta(hours=1)
    earlier = due - timedelta(minutes=1)
    ChainRecipe.objects.update(text="steps: [{train: nothing}]", next_at=earlier)
    scheduling.kick_due()
    taskqueue.work()
    kept.refresh_from_db()
    assert "There is no recipe nothing" in kept.problem
    assert Chain.objects.count() == 1


def test_the_next_time_is_one_of_its_own() -> None:
    at, now = datetime(2026, 1, 1, 2, tzinfo=UTC), datetime(2026, 1, 4, 3, tzinfo=UTC)
    assert next_after(at, "day", now) == datetime(2026, 1, 5, 2, tzinfo=UTC)
    assert next_after(at, "day", at) == datetime(2026, 1, 2, 2, tzinfo=UTC)


def test_the_watcher_asks_for_what_is_due(user: User) -> None:
    asked = ("evaluations.chains.tasks.advance",)
    chain = services.start(TWO, user)
    assert [path for path, _ in taskqueue.take_all()] == [*asked]
    advancing.kick_due()  # whoever took the task was killed
    assert [path for path, _ in taskqueue.take_all()] == [*asked]
    moved(chain)
    taskqueue.clear()
    advancing.kick_due()  # it waits for its job
    assert not taskqueue.size()
    ended(job_of(chain, "sft"))
    taskqueue.clear()
    advancing.kick_due()
    assert taskqueue.take_all() == [(*asked, (chain.pk,))]


def test_the_command_names_the_model_of_a_part_without_a_job(
    user: User, capsys: pytest.CaptureFixture[str], home: Path
) -> None:
    chain = started(f"steps: [{{models: [{model(user, home / 'there')}]}}]", user)
    call_command("chain", "show", str(chain.pk))
    assert f"    made there, {home}/there\n" in capsys.readouterr().out


def test_the_command(user: User, capsys: pytest.CaptureFixture[str], tmp_path: object) -> None:
    User.objects.filter(pk=user.pk).update(is_superuser=True)
    file = f"{tmp_path}/chain.yaml"
    with open(file, "w") as written:  # noqa: PTH123
        written.write(TWO)

    def told(*argv: str) -> object:
        call_command("chain", *argv, "--json")
        return json.loads(capsys.readouterr().out)

    checked = told("check", file)
    assert isinstance(checked, dict)
    assert checked["unknown"] == ["sft", "grpo"]
    made = told("run", file, "--name", "from here")
    assert isinstance(made, dict)
    assert (made["name"], made["state"]) == ("from here", "running")
    chain = moved(Chain.objects.get())
    shown = told("show", str(chain.pk))
    assert isinstance(shown, dict)
    assert [step["state"] for step in shown["steps"]] == ["running", "waiting"]
    assert len(told("list")) == 1  # type: ignore[arg-type]
    assert {row["name"] for row in told("recipes")} >= {"sft-grpo-average"}  # type: ignore[attr-defined]
    assert told("stop", str(chain.pk))["state"] == "stopped"  # type: ignore[index]
    assert told("resume", str(chain.pk))["state"] == "running"  # type: ignore[index]
    for argv, sentence in {
        ("show", "999"): "There is no chain 999",
        ("show", "x"): "There is no chain x",
        ("run", "/nowhere"): "There is no recipe /nowhere",
        ("run", ""): "Name a YAML file",
        ("resume", str(chain.pk)): "is running",
    }.items():
        with pytest.raises(CommandError, match=sentence):
            call_command("chain", *argv)
