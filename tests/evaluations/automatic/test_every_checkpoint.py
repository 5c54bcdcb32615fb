"""Every checkpoint of a run is evaluated, once, also those that it saves later."""

import json
import uuid as uuids
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client

from datasets.models import Version
from evaluations.automatic.services import fulfil
from evaluations.kinds.evaluate import EvaluateSpec
from evaluations.models import Rule
from jobs import listeners
from jobs.launch.submit import NotSubmitted
from jobs.models import Artifact, Job, Priority, Status
from surgery.choosing.table import table_of
from surgery.making.services import queue
from tests import factories
from tests.evaluations.made import evaluated, line, result
from tests.pages import asks_for_login, refuses_other_methods
from tests.surgery.models import artifact_at, checkpoint, kept

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("queue")]


def form(version: Version, reward: Path, **more: object) -> dict[str, object]:
    return {"uuid": uuids.uuid4(), "way": "answers", "dataset": version.pk, "part": "val",
            "reward_file": str(reward), **more}  # fmt: skip


def evaluations() -> list[Job]:
    return list(Job.objects.filter(kind="evaluate").order_by("pk"))


def test_a_page_as_every_other(page: Client, run: Job, client: Client, other: User) -> None:
    url = f"/evaluations/every/{run.pk}/"
    assert asks_for_login(url)
    assert refuses_other_methods(page, url, "get", "post")
    assert page.get(url).status_code == 200
    assert page.get(f"/evaluations/every/{evaluated(run.owner, []).pk}/").status_code == 404
    client.force_login(other)
    assert client.get(url).status_code == 404


def test_what_is_there_and_what_comes(
    page: Client, run: Job, version: Version, reward: Path, home: Path
) -> None:
    url, data = f"/evaluations/every/{run.pk}/", form(version, reward)
    for _ in range(2):
        assert page.post(url, data).status_code == 302
    first, second = evaluations()
    assert [each.spec_of_kind.of_step for each in (first, second)] == [10, 20]
    assert first.spec_of_kind.of_job == run.pk
    assert {each.priority for each in (first, second)} == {Priority.LOW}
    assert {each.status for each in (first, second)} == {Status.QUEUED}
    assert first.name == "Evaluation of sums on sums@1, step 10"

    assert listeners.want_saved(run)
    checkpoint(run, home / "run", 30)
    for _ in range(2):  # told twice
        listeners.saved(run)
    assert [each.spec_of_kind.of_step for each in evaluations()] == [10, 20, 30]
    assert b"10, 20, 30" in page.get(url).content


def test_what_was_deleted_does_not_come_back(
    page: Client, run: Job, version: Version, reward: Path
) -> None:
    page.post(f"/evaluations/every/{run.pk}/", form(version, reward))
    Job.objects.filter(kind="evaluate").delete()
    assert fulfil(Rule.objects.get()) == []


def test_what_is_not_whole_waits(
    page: Client, run: Job, version: Version, reward: Path, home: Path
) -> None:
    late = artifact_at(checkpoint(run, home / "run", 30))
    Artifact.objects.filter(pk=late.pk).update(is_whole=False)
    page.post(f"/evaluations/every/{run.pk}/", form(version, reward))
    assert len(evaluations()) == 2
    Artifact.objects.filter(pk=late.pk).update(is_whole=True)
    listeners.completed(run)
    assert len(evaluations()) == 3


def test_a_rule_can_be_ended(
    page: Client, client: Client, other: User, run: Job, version: Version, reward: Path, home: Path
) -> None:
    page.post(f"/evaluations/every/{run.pk}/", form(version, reward))
    rule = Rule.objects.get()
    stop = f"/evaluations/every/{run.pk}/{rule.pk}/stop/"
    client.force_login(other)
    assert client.post(stop).status_code == 404
    client.force_login(run.owner)
    assert client.get(stop).status_code == 405
    client.post(stop)
    checkpoint(run, home / "run", 30)
    assert not listeners.want_saved(run)
    assert fulfil(rule) == []


def test_what_is_wrong_is_said_and_nothing_is_kept(page: Client, run: Job, reward: Path) -> None:
    version = factories.make_version(target="dpo")
    response = page.post(f"/evaluations/every/{run.pk}/", form(version, reward, samples=3))
    assert response.status_code == 422
    assert b"this way reads" in response.content
    assert not Rule.objects.exists()


def test_the_command_keeps_a_rule(staff: User, run: Job, version: Version, reward: Path) -> None:
    out = StringIO()
    given = {"on": "sums@1", "reward": str(reward), "user": staff.username}
    call_command("evaluate", every_checkpoint_of=run.pk, json=True, stdout=out, **given)
    told = json.loads(out.getvalue())
    assert len(told["jobs"]) == 2
    assert Rule.objects.get().run == run
    with pytest.raises(CommandError, match="goes with no model"):
        call_command("evaluate", "/m", every_checkpoint_of=run.pk, **given)
    with pytest.raises(CommandError, match="saves no checkpoints"):
        call_command("evaluate", every_checkpoint_of=evaluated(staff, []).pk, **given)


def test_scores_stand_in_the_table_of_checkpoints_and_choose(
    page: Client, run: Job, version: Version, reward: Path, home: Path
) -> None:
    page.post(f"/evaluations/every/{run.pk}/", form(version, reward))
    for job, score in zip(evaluations(), (0.75, 0.25), strict=True):
        told = result(metrics={"eval/score/mean": score})
        done = evaluated(run.owner, [line(1, [score]), line(2, [score])], told=told,
                         spec=job.spec_of_kind)  # fmt: skip
        done.inputs.create(artifact=artifact_at(Path(job.spec_of_kind.model)), role="checkpoint")
        listeners.completed(done)
    name = "eval/sums@1:bbbbbb-aaaaaa/score/mean"
    table = table_of([run])
    assert [row.values[name] for row in table.rows] == [0.25, 0.75]
    asked = f"/surgery/checkpoints/{run.pk}/?by=metric&metric={name}&side=higher"
    text = page.get(asked).content.decode()
    assert name in text
    assert "checkpoint of step 10" in text


def test_scores_of_what_was_made_of_checkpoints(user: User, run: Job, home: Path) -> None:
    made = factories.make_job(user, kind="average", spec={}, name="soup", status=Status.COMPLETED)
    kept(made, home / "soup", Artifact.Kind.HUGGINGFACE)
    artifact = artifact_at(home / "soup")
    done = evaluated(user, [line(1, [0.5]), line(2, [0.5])])
    done.inputs.create(artifact=artifact, role="model")
    listeners.completed(done)
    (row,) = table_of([made]).made
    assert row.values["eval/sums@1:bbbbbb-aaaaaa/score/mean"] == 0.5


def test_what_a_worker_did_not_come_to_is_overdue(
    page: Client, run: Job, version: Version, reward: Path, home: Path
) -> None:
    page.post(f"/evaluations/every/{run.pk}/", form(version, reward))
    assert run.pk not in listeners.overdue()
    checkpoint(run, home / "run", 30)  # and the worker dies before it tells of it
    assert run.pk in listeners.overdue()
    listeners.completed(run)
    assert run.pk not in listeners.overdue()
    assert len(evaluations()) == 3


def test_a_call_makes_some_and_the_workers_the_others(
    page: Client, run: Job, version: Version, reward: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evaluations.automatic.services.AT_ONCE", 1)
    url = f"/evaluations/every/{run.pk}/"
    response = page.post(url, form(version, reward), follow=True)
    assert b"1 evaluation queued now. The others follow soon." in response.content
    assert run.pk in listeners.overdue()
    listeners.completed(run)
    assert len(evaluations()) == 2
    assert run.pk not in listeners.overdue()


@pytest.mark.parametrize("error", [NotSubmitted("the queue is full"), KeyError("odd")])
def test_what_goes_wrong_at_one_step_is_said_and_the_others_go_on(
    page: Client, run: Job, version: Version, reward: Path, error: Exception,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def fail_once(spec: EvaluateSpec, *args: Any) -> Job:
        if spec.of_step == 10:
            raise error
        return queue(spec, *args)

    monkeypatch.setattr("evaluations.automatic.services.queue", fail_once)
    page.post(f"/evaluations/every/{run.pk}/", form(version, reward))
    rule = Rule.objects.get()
    assert rule.done == [20]
    assert rule.problem.startswith("Step 10: ")
    assert run.pk in listeners.overdue()
    monkeypatch.setattr("evaluations.automatic.services.queue", queue)
    listeners.completed(run)
    rule.refresh_from_db()
    assert (sorted(rule.done), rule.problem) == ([10, 20], "")
