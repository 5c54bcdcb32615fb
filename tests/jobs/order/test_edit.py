"""A draft is changed by its form; nobody's change is lost, and what was started stays as it is."""

import io
import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from jobs.launch import submit
from jobs.models import Job
from tests import factories
from tests.pages import HTMX, asks_for_login, command_in, refuses_other_methods

pytestmark = pytest.mark.usefixtures("queue")


@pytest.fixture
def draft(page: Client, sft_data: dict[str, str]) -> Job:
    page.post("/jobs/new/sample-sft/", {**sft_data, "name": "a draft", "action": "draft"})
    return Job.objects.get()


def url(job: Job) -> str:
    return f"/jobs/{job.pk}/edit/"


def given(data: dict[str, str], job: Job, **more: Any) -> dict[str, Any]:
    return {**data, "name": "a draft", "revision": job.revision, "action": "draft", **more}


def values(job: Job) -> dict[str, Any]:
    job.refresh_from_db()
    found: dict[str, Any] = job.spec["values"]
    return found


def test_the_form_holds_the_draft(page: Client, draft: Job, user: User) -> None:
    before = factories.make_job(user, name="the first", status="running")
    Job.objects.filter(pk=draft.pk).update(after=before, retries=2, max_seconds=7200)
    response = page.get(url(draft))
    content = response.content.decode()
    assert f'action="{url(draft)}"' in content
    assert 'value="a draft"' in content
    assert "Edit a draft" in content
    assert f'name="uuid" value="{draft.uuid}"' in content
    assert f'<option value="{before.pk}" selected>' in content
    assert 'name="retries" value="2"' in content
    assert "optim.lr=0.001" in command_in(response)


def test_it_is_changed_and_told(page: Client, draft: Job, sft_data: dict[str, str]) -> None:
    answer = page.post(url(draft), given(sft_data, draft, lr="0.5", name="another name"))
    assert (answer.status_code, answer.headers["Location"]) == (302, f"/jobs/{draft.pk}/")
    assert values(draft)["lr"] == 0.5
    assert (draft.name, draft.status, draft.recipe) == ("another name", "draft", "sample-sft")
    told = draft.events.get()
    assert (told.kind, told.who, told.message) == ("edited", "ada", "lr")
    assert Job.objects.count() == 1


def test_it_is_changed_and_started(page: Client, draft: Job, sft_data: dict[str, str]) -> None:
    answer = page.post(url(draft), given(sft_data, draft, lr="0.5", action="start"), headers=HTMX)
    assert answer.headers["HX-Redirect"] == f"/jobs/{draft.pk}/"
    assert values(draft)["lr"] == 0.5
    assert draft.status == "queued"


def test_of_two_tabs_the_second_is_told_and_may_say_it_again(
    page: Client, draft: Job, sft_data: dict[str, str]
) -> None:
    first, second = (given(sft_data, draft, lr=lr) for lr in ("0.25", "0.5"))
    assert page.post(url(draft), first).status_code == 302
    refused = page.post(url(draft), second)
    assert refused.status_code == 422
    content = refused.content.decode()
    assert "Nothing was saved: this draft was changed by ada at " in content
    assert 'value="0.5"' in content  # what was typed is not lost
    assert values(draft)["lr"] == 0.25
    assert f'name="revision" value="{draft.revision}"' in content
    assert page.post(url(draft), {**second, "revision": draft.revision}).status_code == 302
    assert values(draft)["lr"] == 0.5


def test_a_fault_in_the_form_does_not_make_it_newer(
    page: Client, draft: Job, sft_data: dict[str, str]
) -> None:
    opened = given(sft_data, draft, lr="x")
    submit.rename(draft, "renamed meanwhile", who="bob")
    content = page.post(url(draft), opened).content.decode()
    assert f'name="revision" value="{opened["revision"]}"' in content
    refused = page.post(url(draft), {**opened, "lr": "0.5"})
    assert b"was changed by bob" in refused.content


def test_the_form_that_made_it_does_not_undo_what_was_changed_since(
    page: Client, draft: Job, sft_data: dict[str, str]
) -> None:
    page.post(url(draft), given(sft_data, draft, lr="0.25"))
    for action in ("draft", "start"):
        again = page.post("/jobs/new/sample-sft/", {**sft_data, "lr": "0.5", "action": action})
        assert again.status_code == 422
        assert b"Nothing was saved: this draft was changed by ada" in again.content
    assert values(draft)["lr"] == 0.25
    assert draft.status == "draft"


def test_what_was_queued_meanwhile_is_not_changed(
    page: Client, draft: Job, sft_data: dict[str, str]
) -> None:
    submit.enqueue(draft, who="ada")
    refused = page.post(url(draft), given(sft_data, draft, lr="0.5"))
    assert refused.status_code == 422
    assert b"is queued: only a draft can be changed" in refused.content
    assert values(draft)["lr"] == 0.001
    led = page.get(url(draft), follow=True)
    assert b"is queued: only a draft can be changed" in led.content


def test_only_a_draft_offers_it(page: Client, draft: Job) -> None:
    link = f'href="{url(draft)}"'
    for where in ("/jobs/", f"/jobs/{draft.pk}/"):
        assert link in page.get(where).content.decode()
    submit.enqueue(draft, who="ada")
    for where in ("/jobs/", f"/jobs/{draft.pk}/"):
        assert link not in page.get(where).content.decode()


def test_staff_change_it_with_the_rights_of_its_owner(
    client: Client, staff: User, user: User, draft: Job, sft_data: dict[str, str]
) -> None:
    client.force_login(staff)
    assert client.post(url(draft), given(sft_data, draft, lr="0.5")).status_code == 302
    assert values(draft)["lr"] == 0.5
    assert (draft.owner, draft.events.get().who) == (user, "root")
    code = given(sft_data, draft, overrides="+model.external_lib=os")
    assert client.post(url(draft), code).status_code == 422


def test_somebody_elses(page: Client, other: User) -> None:
    assert page.get(url(factories.make_job(other))).status_code == 404


def test_anonymous_and_wrong_method(page: Client, draft: Job) -> None:
    assert asks_for_login(url(draft))
    assert refuses_other_methods(page, url(draft), "get", "post")


def edit(*argv: str) -> dict[str, Any]:
    out = io.StringIO()
    call_command("edit", *argv, "--json", stdout=out, stderr=io.StringIO())
    found: dict[str, Any] = json.loads(out.getvalue())
    return found


def test_the_command(draft: Job, staff: User) -> None:
    made = edit(str(draft.pk), "--set", "lr=0.25", "--name", "renamed", "--user", "ada")
    assert (made["id"], made["name"], made["status"]) == (draft.pk, "renamed", "draft")
    assert values(draft)["lr"] == 0.25
    assert edit(str(draft.pk), "--set", "optim.lr=0.5", "--start")["status"] == "queued"
    assert values(draft)["lr"] == 0.5
    assert draft.name == "renamed"
    with pytest.raises(CommandError, match="only a draft can be changed"):
        edit(str(draft.pk), "--set", "lr=1")


def test_the_command_takes_files_in_place_of_the_data_set(draft: Job, staff: User) -> None:
    train, val = (values(draft)[name] for name in ("train_files", "val_files"))
    version = factories.make_version(train, val_file=val)
    Job.objects.filter(pk=draft.pk).update(dataset_version=version)
    edit(str(draft.pk), "--set", f"train_files={val}")
    assert values(draft)["train_files"] == val
    assert draft.dataset_version_id is None


def test_a_draft_that_is_being_deleted_takes_no_edit(
    page: Client, draft: Job, sft_data: dict[str, str]
) -> None:
    Job.objects.filter(pk=draft.pk).update(deleting_at=timezone.now())
    answer = page.post(url(draft), given(sft_data, draft, lr="0.5"))
    assert answer.status_code == 422
    assert "a draft is being deleted." in answer.content.decode()
    again = {**sft_data, "name": "a draft", "action": "draft", "uuid": str(draft.uuid)}
    assert page.post("/jobs/new/sample-sft/", again).status_code == 422
    assert values(draft)["lr"] == 0.001


def test_a_kind_without_a_form(page: Client, user: User, sft_data: dict[str, str]) -> None:
    export = factories.make_job(user, kind="export", spec={})
    assert page.get(url(export)).status_code == 404
    assert page.post(url(export), given(sft_data, export)).status_code == 404
    with pytest.raises(CommandError, match="of a kind that has no form"):
        call_command("edit", str(export.pk), "--user", "ada")
