"""What a list of checkpoints offers: to go on, to train on one, its path, to delete it."""

import re

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from jobs.artifacts.keeping import keep_made
from jobs.checkpoints import list_checkpoints
from jobs.models import Artifact, Job, JobInput, Status
from tests import factories
from tests.pages import asks_for_login, refuses_other_methods

pytestmark = pytest.mark.usefixtures("queue")


@pytest.fixture
def job(user: User) -> Job:
    job = factories.make_job(user, status=Status.FAILED, started_at=timezone.now(), name="a run")
    job.spec["values"]["save_contents"] = "model,optimizer,extra,hf_model"
    job.save()
    for step in (10, 20):
        factories.write_run_file(job, f"checkpoints/global_step_{step}/model.pt", b"x")
    for name in ("model.safetensors", "config.json"):
        factories.write_run_file(job, f"checkpoints/global_step_10/huggingface/{name}", b"{}")
    factories.write_run_file(job, "checkpoints/latest_checkpointed_iteration.txt", "20")
    list_checkpoints(job)
    return job


def saved(job: Job, step: int) -> Artifact:
    return Artifact.objects.get(job=job, step=step)


def rows(page: Client, job: Job) -> str:
    return page.get(f"/jobs/{job.pk}/checkpoints/").content.decode()


def test_the_list_offers_what_can_be_done(page: Client, job: Job) -> None:
    content, one = rows(page, job), saved(job, 10)
    place = one.places.get()
    assert f'href="/jobs/{job.pk}/resume/?step=10"' in content
    assert f'href="/jobs/new/on/{one.pk}/"' in content
    assert f'href="/artifacts/{one.pk}/delete/{place.pk}/"' in content
    assert re.search(rf'<code id="checkpoint-{one.pk}"[^>]*>{place.path}</code>', content)
    assert f'data-copy="checkpoint-{one.pk}"' in content


def test_what_is_over_or_broken_or_pinned_offers_less(page: Client, job: Job) -> None:
    Job.objects.filter(pk=job.pk).update(status=Status.COMPLETED)
    assert "/resume/" not in rows(page, job)
    Artifact.objects.filter(step=10).update(is_whole=False, fault="Cut off.")
    assert f"/jobs/new/on/{saved(job, 10).pk}/" not in rows(page, job)
    Artifact.objects.filter(step=20).update(pinned_at=timezone.now(), pinned_by="ada")
    content = rows(page, job)
    assert "Pinned by ada" in content
    assert f"/artifacts/{saved(job, 20).pk}/delete/" not in content


def test_going_on_begins_at_the_step_that_was_chosen(page: Client, job: Job) -> None:
    for asked, chosen in (("10", "10"), ("77", ""), ("x", ""), ("", "")):
        content = page.get(f"/jobs/{job.pk}/resume/?step={asked}").content.decode()
        ticked = [
            each
            for each in re.findall(r"<input type=\"radio\"[^>]*>", content)
            if " checked" in each
        ]
        assert [f'value="{chosen}"' in each for each in ticked] == [True]


def test_the_form_has_the_checkpoint_as_its_model(page: Client, job: Job) -> None:
    machine = factories.make_machine(name="the other one")
    Artifact.objects.get(step=10).places.update(machine=machine)
    response = page.get(f"/jobs/new/on/{saved(job, 10).pk}/")
    content = response.content.decode()
    assert f'value="{job.run_dir}/checkpoints/global_step_10/huggingface"' in content
    assert 'value="a run, on step 10"' in content
    assert ">checkpoint of step 10</a>" in content
    assert f'<option value="{machine.pk}" selected>' in content
    assert "made for trying" not in content.lower()


def test_rl_keeps_its_model_below_the_actor(page: Client, user: User) -> None:
    spec = factories.grpo_spec(save_contents="model,hf_model", save_freq=5).to_json()
    job = factories.make_job(user, kind="grpo", spec=spec, status=Status.COMPLETED)
    factories.keep_checkpoints(job, {5: 9}, has_hf=True)
    content = page.get(f"/jobs/new/on/{saved(job, 5).pk}/").content.decode()
    assert f"{job.run_dir}/checkpoints/global_step_5/actor/huggingface" in content


def test_without_a_model_in_it_it_is_exported_first(page: Client, job: Job) -> None:
    answer = page.get(f"/jobs/new/on/{saved(job, 20).pk}/", follow=True)
    assert answer.redirect_chain == [(f"/jobs/{job.pk}/export/?step=20", 302)]
    assert b"Export it first" in answer.content


def test_an_adapter_is_exported_first(page: Client, job: Job) -> None:
    job.spec["values"]["lora_rank"] = 8
    job.save()
    answer = page.get(f"/jobs/new/on/{saved(job, 10).pk}/", follow=True)
    assert b"Export it first" in answer.content


@pytest.fixture
def exported(job: Job, user: User) -> Artifact:
    made = factories.make_job(user, kind="export", spec={}, status=Status.COMPLETED)
    JobInput.objects.create(job=made, artifact=saved(job, 20), role=JobInput.Role.CHECKPOINT)
    path = str(factories.write_run_file(made, "model/config.json", b"{}").parent)
    return keep_made(made, Artifact.Kind.HUGGINGFACE, "model", path, has_model=True)


def test_an_export_is_trained_on_with_the_settings_of_its_run(
    page: Client, job: Job, exported: Artifact
) -> None:
    link = f'href="/jobs/new/on/{exported.pk}/"'
    assert link in page.get(f"/artifacts/{exported.pk}/").content.decode()
    content = page.get(f"/jobs/new/on/{exported.pk}/").content.decode()
    assert f'value="{exported.places.get().path}"' in content
    assert f'href="/jobs/{job.pk}/"' in content


def test_what_is_gone_is_not_trained_on(page: Client, job: Job) -> None:
    one = saved(job, 10)
    one.places.update(gone_at=timezone.now())
    answer = page.get(f"/jobs/new/on/{one.pk}/", follow=True)
    assert b"lies nowhere that is known" in answer.content
    assert f'href="/jobs/new/on/{one.pk}/"' not in answer.content.decode()


def test_a_run_without_a_checkpoint_does_not_offer_to_resume_first(
    page: Client, user: User, job: Job
) -> None:
    bare = factories.make_job(user, status=Status.FAILED, started_at=timezone.now())
    content = page.get(f"/jobs/{bare.pk}/").content.decode()
    buttons = re.findall(r'id="(change|resume)-button"\s+class="button ?(primary)?', content)
    assert buttons == [("change", "primary"), ("resume", "")]
    assert "Run again</a>" in content
    assert "Run again</button>" in page.get(f"/jobs/{bare.pk}/resume/").content.decode()
    content = page.get(f"/jobs/{job.pk}/").content.decode()
    assert re.findall(r'id="(change|resume)-button"', content) == ["resume"]
    assert "Resume</a>" in content


def test_an_export_that_failed_is_run_again(page: Client, user: User) -> None:
    bare = factories.make_job(
        user, kind="export", spec={}, status="failed", started_at=timezone.now()
    )
    content = page.get(f"/jobs/{bare.pk}/").content.decode()
    assert re.findall(r'id="(change|resume)-button"\s+class="button ?(primary)?', content) == [
        ("resume", "primary")
    ]


def test_the_command(job: Job, samples: str, user: User, staff: User) -> None:
    with pytest.raises(CommandError, match="Export it first"):
        call_command("clone", str(job.pk), "--on", "20")
    with pytest.raises(CommandError, match="no checkpoint of step 30"):
        call_command("clone", str(job.pk), "--on", "30")
    with pytest.raises(CommandError, match="global_step_10/huggingface"):  # which is no whole model
        call_command("clone", str(job.pk), "--on", "10")


def test_anonymous_others_and_wrong_method(page: Client, job: Job, other: User) -> None:
    url = f"/jobs/new/on/{saved(job, 10).pk}/"
    assert asks_for_login(url)
    assert refuses_other_methods(page, url, "get")
    Artifact.objects.update(owner=other)
    assert page.get(url).status_code == 404
