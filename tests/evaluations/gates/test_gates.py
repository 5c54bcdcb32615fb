"""A job waits until an evaluation found its model good enough, or fails without starting."""

import json
import math

import numpy as np
import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from evaluations.gates import services
from evaluations.models import Evaluation
from evaluations.statistics.scores import Scores, packed
from evaluations.steps.step import Limit
from jobs import lifecycle
from jobs.launch.submit import enqueue
from jobs.models import Gate, Job, Status
from jobs.queue import claims
from tests import factories
from tests.pages import asks_for_login, refuses_other_methods

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("queue")]
MEAN = "eval/score/mean"


def evaluation(user: User, status: Status = Status.COMPLETED) -> Job:
    return factories.make_job(user, kind="evaluate", spec={}, status=status)


def scores(values: list[float]) -> bytes:
    count = len(values)
    column = np.array(values)[:, None]
    keys = np.arange(count, dtype=np.uint64)
    return packed(Scores(
        prompts=keys, keys=keys, values=column, right=np.zeros((count, 0)),
        weights=np.ones(count), task=np.zeros(count, np.int64),
    ))  # fmt: skip


def found(job: Job, *values: float) -> Evaluation:
    """What an evaluation has found, kept as a worker keeps it."""
    Job.objects.filter(pk=job.pk).update(status=Status.COMPLETED, ended_at=timezone.now())
    mean = sum(values) / len(values)
    kept = Evaluation.objects.create(
        job=job,
        way="answers",
        metrics={MEAN: mean},
        scores=scores([*values]),
        set_digest="5e7",
        evaluator_digest="e7a",
    )
    services.settle(job)
    return kept


def waits(job: Job) -> str:
    [waiting] = claims.waiting_in(job.machine, claims.line_of(job.machine))
    assert waiting.id == job.pk
    return waiting.after


def queued(user: User) -> Job:
    job = factories.make_job(user, name="next")
    enqueue(job, who="ada")
    return job


def test_it_waits_and_starts_when_it_is_good_enough(user: User) -> None:
    job, on = queued(user), evaluation(user, Status.RUNNING)
    services.set_gate(job, on, Limit(MEAN, at_least=0.4), None, who="ada")
    words = f"{MEAN} of job {on.pk} is at least 0.4"
    assert waits(job) == (f"After evaluation, job {on.pk}, which is running. It starts if {words}.")
    assert not claims.could_start(job.machine)
    found(on, 0.5, 0.5)
    assert waits(job) == ""
    assert claims.could_start(job.machine)
    gate = Gate.objects.get()
    assert gate.passed_at
    assert gate.said == f"{MEAN} is 0.5."


def test_it_fails_without_starting_when_it_is_not(user: User) -> None:
    job, on = queued(user), evaluation(user, Status.RUNNING)
    services.set_gate(job, on, Limit(MEAN, at_least=0.6), None, who="ada")
    found(on, 0.5, 0.5)
    assert claims.could_start(job.machine)
    assert claims.claim(job.machine) is None
    job.refresh_from_db()
    assert job.status == Status.FAILED
    assert job.reason == (
        f"It was to start if {MEAN} of job {on.pk} is at least 0.6. "
        f"{MEAN} is 0.5, which is below 0.6."
    )


@pytest.mark.parametrize("status", [Status.FAILED, Status.STOPPED, Status.LOST])
def test_an_evaluation_that_never_comes_fails_it(user: User, status: Status) -> None:
    job, on = queued(user), evaluation(user, Status.RUNNING)
    services.set_gate(job, on, Limit(MEAN, at_least=0.4), None, who="ada")
    lifecycle.move(on, status)
    assert claims.claim(job.machine) is None
    job.refresh_from_db()
    assert job.status == Status.FAILED
    assert "It was to start if" in job.reason


def test_an_evaluation_that_is_deleted_fails_it(user: User) -> None:
    job, on = queued(user), evaluation(user, Status.RUNNING)
    services.set_gate(job, on, Limit(MEAN, at_least=0.4), None, who="ada")
    on.delete()
    assert claims.claim(job.machine) is None
    job.refresh_from_db()
    assert job.reason.endswith("but that job is gone.")


def test_a_metric_that_never_came(user: User) -> None:
    job, on = queued(user), evaluation(user, Status.RUNNING)
    services.set_gate(job, on, Limit("nothing", at_least=0.4), None, who="ada")
    found(on, 0.5)
    assert Gate.objects.get().failure == f"nothing never came: job {on.pk} told {MEAN}."


WORSE = [0.0, 0.1] * 20
EVEN = [0.5, 0.6] * 20


@pytest.mark.parametrize(
    ("limit", "own", "other", "passes"),
    [
        (Limit(MEAN, not_worse_than="x"), EVEN, WORSE, True),
        (Limit(MEAN, not_worse_than="x"), EVEN, EVEN, True),
        (Limit(MEAN, not_worse_than="x"), WORSE, EVEN, False),
        (Limit(MEAN, not_worse_than="x", margin=0.9), WORSE, EVEN, True),
        (Limit(MEAN, better_than="x"), EVEN, WORSE, True),
        (Limit(MEAN, better_than="x"), EVEN, EVEN, False),
    ],
)
def test_beside_another(
    user: User, limit: Limit, own: list[float], other: list[float], passes: bool
) -> None:
    job, on, base = queued(user), *(evaluation(user, Status.RUNNING) for _ in range(2))
    services.set_gate(job, on, limit, base, who="ada")
    found(on, *own)
    assert waits(job).endswith("which is being found out.")  # the other is not over
    Job.objects.filter(pk=base.pk).update(status=Status.COMPLETED, ended_at=timezone.now())
    services.settle_due()
    assert waits(job).endswith("which is being found out.")  # nobody has read it yet
    found(base, *other)
    gate = Gate.objects.get()
    assert bool(gate.passed_at) is passes
    assert bool(gate.failure) is not passes
    assert f"{MEAN} over 40 prompts" in gate.said + gate.failure


@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        ({"evaluator_digest": "another"}, "evaluated in different ways"),
        ({"set_digest": "another"}, "evaluated different prompts"),
        ({"fault": "It is no JSON."}, "It is no JSON."),
    ],
)
def test_evaluations_of_different_ways_are_not_compared(
    user: User, other: dict[str, str], sentence: str
) -> None:
    job, on, base = queued(user), *(evaluation(user, Status.RUNNING) for _ in range(2))
    services.set_gate(job, on, Limit(MEAN, better_than="x"), base, who="ada")
    found(base, *EVEN)
    Evaluation.objects.update(**other)
    found(on, *EVEN)
    assert sentence in Gate.objects.get().failure


def test_whoever_died_before_judging_is_made_up_for(user: User) -> None:
    job, on = queued(user), evaluation(user, Status.RUNNING)
    services.set_gate(job, on, Limit(MEAN, at_least=0.4), None, who="ada")
    Job.objects.filter(pk=on.pk).update(status=Status.COMPLETED)
    Evaluation.objects.create(job=on, way="answers", metrics={MEAN: math.pi})
    services.settle_due()
    assert Gate.objects.get().passed_at


def test_what_cannot_be_a_gate_is_said(user: User) -> None:
    job, on = queued(user), evaluation(user)
    limit = Limit(MEAN, at_least=0.4)
    late = factories.make_job(user, status=Status.RUNNING)
    waiting = factories.make_job(user, kind="evaluate", spec={}, after=job, status=Status.QUEUED)
    gated = evaluation(user, Status.QUEUED)
    Gate.objects.create(job=gated, on=waiting, words="it is good")
    for asked, sentence in {
        (late, on, None): "stands before the first start",
        (job, late, None): "evaluates nothing",
        (job, evaluation(user, Status.FAILED), None): "it will find nothing",
        (job, on, on): "compared with another one",
        (job, waiting, None): "waits for this one",
        (job, on, waiting): "waits for this one",
        (job, gated, None): "waits for this one",
    }.items():
        with pytest.raises(services.NotSet, match=sentence):
            services.set_gate(asked[0], asked[1], limit, asked[2], who="ada")
    assert not Gate.objects.filter(job=job).exists()


def test_a_gate_that_was_changed_meanwhile_is_judged_anew(
    user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, on = queued(user), evaluation(user, Status.RUNNING)
    services.set_gate(job, on, Limit(MEAN, at_least=0.4), None, who="ada")
    judge = services._judged

    def slow(gate: Gate) -> object:
        """Somebody asks for more while it is judged."""
        Gate.objects.filter(pk=gate.pk).update(words="more", asks={"metric": MEAN, "at_least": 9})
        return judge(gate)

    with monkeypatch.context() as patched:
        patched.setattr(services, "_judged", slow)
        found(on, 0.5)
    assert Gate.objects.get().passed_at is None
    services.settle_due()
    assert "below 9" in Gate.objects.get().failure


def test_the_page_and_the_command(
    page: Client, user: User, other: User, client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    User.objects.filter(pk=user.pk).update(is_superuser=True)
    job, on = queued(user), evaluation(user, Status.RUNNING)
    url = f"/evaluations/gates/{job.pk}/"
    refused = page.post(url, {"on": on.pk, "metric": "<b>", "margin": "-1"})
    assert refused.status_code == 422
    assert "&lt;b&gt;" in refused.content.decode()
    assert "at least one of" in page.post(url, {"on": on.pk, "metric": "a"}).content.decode()
    assert page.post(url, {"on": on.pk, "metric": "\0", "at_least": 1}).status_code == 422
    assert page.post(url, {"on": on.pk, "metric": MEAN, "at_least": 0.4}).status_code == 302
    assert "is at least 0.4" in page.get(job.get_absolute_url()).content.decode()
    assert page.post(url, {"action": "remove"}).status_code == 302
    assert not Gate.objects.exists()
    call_command(
        "gate", str(job.pk), "--on", str(on.pk), "--metric", MEAN, "--at-most", "3", "--json"
    )
    assert json.loads(capsys.readouterr().out)["words"] == f"{MEAN} of job {on.pk} is at most 3"
    call_command("gate", str(job.pk), "--remove")
    assert "It has no gate." in capsys.readouterr().out
    with pytest.raises(CommandError, match="at least one of"):
        call_command("gate", str(job.pk), "--on", str(on.pk), "--metric", MEAN)
    client.force_login(other)
    assert client.get(url).status_code == 404
    assert asks_for_login(url)
    assert refuses_other_methods(client, url, "get", "post")
