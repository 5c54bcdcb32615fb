"""Where a job came from, and what came from it."""

import re

from django.contrib.auth.models import User
from django.test import Client

from jobs.models import Artifact, Job
from jobs.provenance.relatives import children_of, parents_of
from tests import factories


def roles(found: object) -> dict[str, str]:
    return {one.job.name: one.role for one in found.shown}  # type: ignore[attr-defined]


def test_the_family_of_a_job(page: Client, user: User) -> None:
    first = factories.make_job(user, name="first", status="completed")
    model = Artifact.objects.create(kind="huggingface", name="m", owner=user, job=first, attempt=1)
    clone = factories.make_job(user, name="clone", cloned_from=first, after=first)
    old = factories.make_job(user, name="old", recipe=f"job-{first.pk}")
    heir = factories.make_job(user, name="heir", kind="export")
    heir.inputs.create(artifact=model, role="model")
    awaits = factories.make_job(user, name="awaits")
    awaits.inputs.create(source=first, role="critic")
    tries = factories.make_job(user, name="tries", kind="rehearsal")
    first.rehearsals.create(run=tries)
    hidden = factories.make_job(factories.make_user(), name="<hidden>", cloned_from=first)

    assert roles(children_of(first, user)) == {
        "clone": "starts after it, clone",
        "old": "clone",
        "heir": f"{heir.kind_label}, model to train",
        "awaits": f"{awaits.kind_label}, critic",
        "tries": tries.kind_label.lower(),
    }
    assert (children_of(first, user).hidden, children_of(first, None).hidden) == (1, 0)
    assert roles(parents_of(clone, user)) == {"first": "started after it, clone of it"}
    assert roles(parents_of(old, user)) == {"first": "clone of it"}
    assert roles(parents_of(heir, user)) == {"first": "reads its model to train"}
    assert roles(parents_of(awaits, user)) == {"first": "reads its critic"}
    assert roles(parents_of(tries, user)) == {"first": f"{tries.kind_label.lower()} of it"}
    assert parents_of(hidden, hidden.owner).hidden == 1

    text = page.get(f"/jobs/{first.pk}/provenance/").content.decode()
    assert clone.get_absolute_url() in text
    assert "1 of other users." in text
    assert "hidden&gt;" not in text


def test_a_clone_remembers_what_it_was_copied_from(
    page: Client, sft_data: dict[str, str], user: User
) -> None:
    page.post("/jobs/new/sample-sft/", sft_data | {"action": "draft"})
    first = Job.objects.get()
    assert first.cloned_from is None
    form = page.get(f"/jobs/{first.pk}/clone/").content.decode()
    named = re.findall(r'name="cloned" value="(\d+)"', form)
    assert named == [str(first.pk)]
    for uuid, cloned, expected in (
        ("1" * 32, named[0], first),
        ("2" * 32, "99999", None),
        ("3" * 32, "9" * 50, None),
        ("4" * 32, "\0", None),
        ("5" * 32, str(factories.make_job(factories.make_user()).pk), None),
    ):
        data = sft_data | {"uuid": uuid, "cloned": cloned, "action": "draft"}
        assert page.post("/jobs/new/sample-sft/", data).status_code == 302
        assert Job.objects.get(uuid=uuid).cloned_from == expected
    copy = Job.objects.get(uuid="1" * 32)
    changed = sft_data | {"name": "changed", "revision": copy.revision, "cloned": ""}
    assert page.post(f"/jobs/{copy.pk}/edit/", changed).status_code == 302
    copy.refresh_from_db()
    assert (copy.name, copy.cloned_from) == ("changed", first)
