"""What a chain needs still is not deleted under its hands; what was deleted is made anew."""

import json
from datetime import timedelta
from io import StringIO

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from evaluations.chains import services
from evaluations.chains.models import Chain
from evaluations.chains.parts import parts_of, to_remake
from evaluations.chains.story import story_of
from jobs.archive.refusals import warnings, why_not
from jobs.artifacts import refusals
from jobs.checkpoints import list_checkpoints
from jobs.models import Job, Place, Status
from tests.evaluations.chains.runs import TWO, ended, job_of, moved, part, started, states

pytestmark = [
    pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("queue", "samples"),
]  # fmt: skip
GATED = TWO.replace(
    "- {name: grpo", "- {name: gate, gate: sft, metric: score, at_least: 0.4}\n- {name: grpo"
).replace("model: sft", "model: gate")


def on_second(text: str, user: User) -> tuple[Chain, Job]:
    """A chain whose second training has begun, and the job of the first."""
    chain = started(text, user)
    job = job_of(chain, "sft")
    ended(job, score=0.5)
    moved(chain)
    assert states(chain)["grpo"] == "running", chain.reason
    return chain, job


def broken_at_second(text: str, user: User) -> tuple[Chain, Job]:
    chain, job = on_second(text, user)
    ended(job_of(chain, "grpo"), Status.FAILED)
    assert moved(chain).state == Chain.State.FAILED
    job.refresh_from_db()
    return chain, job


def test_what_a_running_chain_needs_is_not_deleted(page: Client, user: User) -> None:
    chain, job = on_second(GATED, user)
    said = f"The chain Two ({chain.pk}) needs its model for the step grpo: stop the chain first."
    # Its job reads it, too; that one may end before the chain does.
    job_of(chain, "grpo").inputs.all().delete()
    Job.objects.filter(pk=job_of(chain, "grpo").pk).update(after=None)
    assert why_not(job) == [said]
    assert said in page.get(f"/jobs/delete/?job={job.pk}").content.decode()
    page.post("/jobs/delete/", {"job": job.pk, "sure": "on"})
    with pytest.raises(CommandError, match="stop the chain first"):
        call_command("delete", str(job.pk), "--sure", "--user", user.username, stdout=StringIO())
    assert Job.objects.filter(pk=job.pk, deleting_at=None).exists()


def test_a_result_that_nobody_has_read_yet_is_not_deleted(user: User) -> None:
    chain = started(TWO, user)
    job = ended(job_of(chain, "sft"))
    assert not part(chain, "sft").is_done
    [said] = why_not(job)
    assert "needs its result for the step grpo" in said


def test_a_model_that_it_needs_is_not_deleted_and_another_is(user: User) -> None:
    chain, job = on_second(TWO, user)
    list_checkpoints(job)
    job_of(chain, "grpo").inputs.all().delete()
    path = part(chain, "sft").path
    [place] = [each for each in Place.objects.there() if path.startswith(each.path)]
    assert "for the step grpo: stop the chain first" in refusals.why_not(place)
    chain.parts.filter(step="sft").update(path=f"{job.run_dir}/elsewhere")
    assert refusals.why_not(place) == ""


def test_what_is_chosen_against_may_go(user: User) -> None:
    text = TWO.replace("model: sft", "model: sft, over: {seed: [1, 2]}") + (
        "- {name: best, choose: grpo, by: score, better: higher}\n"
        "- {name: small, convert: best, set: {dtype: bfloat16}}\n"
    )
    chain, first = on_second(text, user)
    worse, better = job_of(chain, "grpo", 1), job_of(chain, "grpo", 2)
    ended(worse, score=0.1)
    ended(better, score=0.9)
    moved(chain)
    job_of(chain, "small").inputs.all().delete()
    assert "for the step small" in why_not(better)[0]
    assert why_not(worse) == why_not(first) == []
    worse.delete()
    ended(job_of(chain, "small"))
    assert moved(chain).state == Chain.State.COMPLETED
    assert why_not(better) == []


def test_who_deletes_it_of_a_chain_that_failed_is_told(user: User) -> None:
    chain, job = broken_at_second(TWO, user)
    job_of(chain, "grpo").inputs.all().delete()
    assert why_not(job) == []
    assert (
        f"The chain Two ({chain.pk}), which failed, needs its model for the step grpo: resumed, it "
        "would make that anew."
    ) in warnings(job)


@pytest.mark.parametrize("text", [TWO, GATED], ids=["plain", "gated"])
def test_resume_makes_anew_what_was_deleted_and_is_needed(user: User, text: str) -> None:
    chain, job = broken_at_second(text, user)
    seconds = part(chain, "grpo")
    job.delete()
    assert services.resume(chain, who="ada")
    moved(chain)
    assert states(chain)["sft"] == "running"
    assert states(chain)["grpo"] == "waiting"
    again = job_of(chain, "sft")
    assert again.uuid != job.uuid
    assert part(chain, "sft").path == ""
    ended(again, score=0.6)
    moved(chain)
    assert job_of(chain, "grpo").after == again
    assert part(chain, "grpo").pk == seconds.pk
    if text == GATED:
        assert part(chain, "gate").said == "score of sft is 0.6."
        assert part(chain, "gate").path == part(chain, "sft").path


@pytest.mark.parametrize("text", [TWO, GATED], ids=["plain", "gated"])
def test_a_job_that_had_begun_with_what_was_deleted_is_made_anew_after_it(
    user: User, text: str
) -> None:
    chain, job = on_second(text, user)
    second = job_of(chain, "grpo")
    Job.objects.filter(pk=second.pk).update(started_at=timezone.now())
    ended(second, Status.FAILED)
    moved(chain)
    job.delete()
    assert services.resume(chain, who="ada")
    second.refresh_from_db()
    assert (second.status, second.attempt) == (Status.FAILED, 1)
    moved(chain)
    assert states(chain)["grpo"] == "waiting"
    again = job_of(chain, "sft")
    ended(again, score=0.6)
    moved(chain)
    assert job_of(chain, "grpo") != second
    assert job_of(chain, "grpo").after == again


def test_a_gate_that_passed_decides_again_about_what_was_made_anew(user: User) -> None:
    chain, job = broken_at_second(GATED, user)
    job.delete()
    services.resume(chain, who="ada")
    moved(chain)
    ended(job_of(chain, "sft"), score=0.1)
    moved(chain)
    assert chain.reason == "Step gate sft: score of sft is 0.1, which is below 0.4."
    services.resume(chain, who="ada")
    assert moved(chain).reason == "Step gate sft: score of sft is 0.1, which is below 0.4."
    assert [each.pk for each in part(chain, "grpo").of.all()] == [part(chain, "gate").pk]


def test_a_model_that_was_deleted_alone_is_made_anew(user: User) -> None:
    chain, job = broken_at_second(TWO, user)
    list_checkpoints(job)
    kept = Place.objects.get(artifact__job=job)
    assert to_remake(chain.recipe, parts_of(chain)) == []
    Place.objects.filter(pk=kept.pk).update(gone_at=timezone.now())
    services.resume(chain, who="ada")
    moved(chain)
    assert job_of(chain, "sft") != job
    assert Job.objects.filter(pk=job.pk).exists()


def test_a_running_chain_says_what_was_deleted(user: User) -> None:
    chain, job = on_second(TWO, user)
    chain.parts.filter(step="grpo").delete()
    number = job.pk
    job.delete()
    assert moved(chain).state == Chain.State.FAILED
    assert chain.reason == (
        f"Step sft: what job {number} made was deleted, and is needed still. Resume makes it anew."
    )


def test_a_step_that_is_not_needed_any_more_is_not_made_anew(user: User) -> None:
    chain, job = on_second(f"{TWO}- {{convert: grpo, set: {{dtype: bfloat16}}}}\n", user)
    ended(job_of(chain, "grpo"))
    moved(chain)
    ended(job_of(chain, "convert"), Status.FAILED)
    moved(chain)
    Job.objects.get(pk=job.pk).delete()
    services.resume(chain, who="ada")
    moved(chain)
    assert states(chain) == {"sft": "completed", "grpo": "completed", "convert": "running"}


def test_former_attempts_count_in_time_and_cost(page: Client, user: User) -> None:
    chain = started(TWO, user)
    first = job_of(chain, "sft")
    ended(first, Status.FAILED)
    moved(chain)
    services.resume(chain, who="ada")
    moved(chain)
    began = timezone.now()
    for job, seconds in ((first, 600), (job_of(chain, "sft"), 60)):
        Job.objects.filter(pk=job.pk).update(
            started_at=began - timedelta(seconds=seconds), ended_at=began, gpus=1
        )
    [sft, _] = story_of(chain)
    assert sft.former == [first]
    assert sft.elapsed == timedelta(seconds=660)
    assert sft.without_price == 2
    call_command("chain", "show", str(chain.pk), "--json", stdout=(out := StringIO()))
    assert json.loads(out.getvalue())["steps"][0]["former_jobs"] == [first.pk]
    shown = page.get(chain.get_absolute_url()).content.decode()
    assert f">job {first.pk}</a>, failed" in shown
