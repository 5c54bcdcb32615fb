import io
import json
import re
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client

from jobs.launch import submit
from jobs.launch.submit import Order
from jobs.models import Job
from jobs.order.forms import JobForm, form_data
from jobs.places import places
from jobs.recipebook import book
from jobs.recipebook.book import copy_name
from jobs.recipebook.files import export_recipe, import_recipe
from jobs.verl.recipes import all_recipes
from tests import factories
from tests.pages import asks_for_login, command_in, refuses_other_methods

pytestmark = pytest.mark.usefixtures("queue")


@pytest.fixture
def job(user: User, samples: Path) -> Job:
    """A job of the sample recipe, with a rate of its own and without the recipe's validation."""
    values = dict(all_recipes()["sample-sft"].spec(places()).values) | {"lr": 0.25}
    del values["test_freq"]
    spec = {"values": values, "overrides": ["data.num_workers=3"]}
    return factories.make_job(user, name="a run", spec=spec)


def form_of(content: str) -> dict[str, str]:
    """The inputs of the job's form, by name."""
    found = re.findall(r'<input type="(?:text|hidden)" name="(\w+)"(?: value="([^"]*)")?', content)
    return dict(found)


def test_the_form_holds_the_jobs_values(page: Client, job: Job) -> None:
    response = page.get(f"/jobs/{job.pk}/clone/")
    assert response.status_code == 200
    content = response.content.decode()
    fields = form_of(content)
    assert (fields["lr"], fields["test_freq"]) == ("0.25", "")
    assert fields["name"] == "a run copy"
    assert fields["uuid"] != str(job.uuid)
    assert 'action="/jobs/new/sample-sft/"' in content
    command = command_in(response)
    assert "optim.lr=0.25" in command
    assert "data.num_workers=3" in command
    assert "trainer.test_freq" not in command


def test_what_differs_from_the_recipe_is_marked(page: Client, job: Job) -> None:
    content = page.get(f"/jobs/{job.pk}/clone/").content.decode()
    changed = [part for part in content.split('<div class="field ')[1:] if part[:7] == "changed"]
    names = {part.split('data-field="')[1].split('"')[0] for part in changed}
    assert names == {"lr", "test_freq"}


def test_the_machine_is_the_jobs(page: Client, user: User, samples: Path, job: Job) -> None:
    machine = factories.make_machine(name="the other one")
    Job.objects.filter(pk=job.pk).update(machine=machine)
    content = page.get(f"/jobs/{job.pk}/clone/").content.decode()
    assert f'<option value="{machine.pk}" selected>the other one' in content


def test_without_its_recipe_a_job_still_clones(page: Client, user: User, job: Job) -> None:
    Job.objects.filter(pk=job.pk).update(recipe="long-gone")
    response = page.get(f"/jobs/{job.pk}/clone/")
    assert f'action="/jobs/new/job-{job.pk}/"' in response.content.decode()
    assert "optim.lr=0.25" in command_in(response)
    again = page.get(f"/jobs/new/job-{job.pk}/")
    assert again.status_code == 200
    assert "optim.lr=0.25" in command_in(again)


def test_a_recipe_that_became_another_kind_is_not_taken(page: Client, job: Job) -> None:
    Job.objects.filter(pk=job.pk).update(recipe="grpo")
    content = page.get(f"/jobs/{job.pk}/clone/").content.decode()
    assert f'action="/jobs/new/job-{job.pk}/"' in content


def test_a_setting_that_is_gone_is_named(page: Client, job: Job) -> None:
    job.spec["values"]["gone_knob"] = 7
    job.save()
    content = page.get(f"/jobs/{job.pk}/clone/").content.decode()
    assert "Left out, since there is no such setting any more: gone_knob = 7." in content


def test_staff_clones_a_job_of_a_recipe_of_its_owners(
    client: Client, staff: User, user: User, job: Job
) -> None:
    saved = book.save_recipe(user, job, "Mine")
    Job.objects.filter(pk=job.pk).update(recipe=saved.slug)
    client.force_login(staff)
    content = client.get(f"/jobs/{job.pk}/clone/").content.decode()
    assert f'action="/jobs/new/job-{job.pk}/"' in content


@pytest.mark.parametrize(
    ("name", "copy"),
    [
        ("run", "run copy"),
        ("run copy", "run copy 2"),
        ("run copy 2", "run copy 3"),
        ("x" * 200, "x" * 190 + " copy"),
        ("copy", "copy copy"),
    ],
)
def test_names_of_copies(name: str, copy: str) -> None:
    assert copy_name(name) == copy
    assert len(copy) <= 200


def test_someone_elses_job(page: Client, other: User) -> None:
    theirs = factories.make_job(other)
    assert page.get(f"/jobs/{theirs.pk}/clone/").status_code == 404


def test_the_pages_lead_to_it(page: Client, job: Job) -> None:
    link = f'href="/jobs/{job.pk}/clone/"'
    assert link in page.get("/jobs/").content.decode()
    assert link in page.get(f"/jobs/{job.pk}/").content.decode()


def test_anonymous(db: None) -> None:
    assert asks_for_login("/jobs/1/clone/")


def test_wrong_method(page: Client, job: Job) -> None:
    assert refuses_other_methods(page, f"/jobs/{job.pk}/clone/", "get")


def clone(*argv: str) -> Job:
    out = io.StringIO()
    call_command("clone", *argv, "--json", stdout=out, stderr=io.StringIO())
    return Job.objects.get(pk=json.loads(out.getvalue())["id"])


def test_by_command(staff: User, job: Job) -> None:
    copy = clone(str(job.pk), "--set", "epochs=2", "--set", "optim.betas=[0.9,0.95]")
    assert copy.uuid != job.uuid
    assert (copy.name, copy.recipe, copy.status) == ("a run copy", "sample-sft", "draft")
    values = copy.spec["values"]
    assert (values["lr"], values["epochs"], values.get("test_freq")) == (0.25, 2, None)
    assert copy.spec["overrides"] == ["data.num_workers=3", "optim.betas=[0.9,0.95]"]
    assert clone(str(copy.pk), "--name", "third", "--start").status == "queued"


def test_the_command_says_what_is_wrong(staff: User, job: Job) -> None:
    with pytest.raises(CommandError, match="There is no job 99"):
        clone("99")
    with pytest.raises(CommandError, match="lr: Write a number"):
        clone(str(job.pk), "--set", "lr=x")
    assert Job.objects.count() == 1


def test_a_copy_is_a_sample_only_while_it_reads_samples(
    page: Client, user: User, samples: Path, tmp_path: Path
) -> None:
    mark = 'title="Made for trying things out'
    slug = "sample-sft"
    own = samples.parent / "own.parquet"
    own.write_bytes((samples / "sft/train.parquet").read_bytes())
    for given, is_sample in (({}, True), ({"lr": "0.5"}, True), ({"train_files": str(own)}, False)):
        job = submit.submit(order_of(user, slug, **given), start=False)
        assert job.is_sample is is_sample
        copy = submit.submit(order_of(user, f"job-{job.pk}"), start=False)
        assert copy.is_sample is is_sample
        assert (mark in page.get(f"/jobs/{copy.pk}/").content.decode()) is is_sample
        saved = book.save_recipe(user, job, "kept")
        assert saved.is_sample is is_sample
        exported = f"sample = true\n{export_recipe(book.as_recipe(saved))}"
        assert import_recipe(user, exported).is_sample is is_sample


def order_of(user: User, slug: str, **values: str) -> Order:
    recipe = book.find_recipe(slug, user)
    assert recipe
    form = JobForm(recipe, user, form_data(recipe, "", [f"{k}={v}" for k, v in values.items()]))
    assert form.is_valid(), form.errors
    return form.order()
