"""A checkpoint of somebody else that nobody has listed yet is refused as a listed one is."""

import uuid as uuids
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from compute.machines.local import local_machine
from jobs.models import Job, Place, Removal, Status
from tests import factories
from tests.surgery.models import adapter, artifact_at, model

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("queue")]
SAID = "There is no model of yours at"
RECIPE = (
    "merge_method: linear\nmodels:\n- model: {own}\n- model: {path}\nparameters: {{weight: 1}}\n"
)
FORMS = {
    "/surgery/average/": {"more_models": "{own}\n{path}", "method": "uniform"},
    "/surgery/compare/": {"before_path": "{own}", "after_path": "{path}"},
    "/surgery/convert/": {"source_path": "{path}", "dtype": "bfloat16"},
    "/surgery/lora/extract/": {"base_path": "{own}", "tuned_path": "{path}", "rank": "4"},
    "/surgery/lora/merge/": {"base_path": "{path}", "more_adapters": "{adapter}"},
    "/surgery/new/": {"recipe": RECIPE},
    "/surgery/sweep/": {"recipe": RECIPE, "over": "ratio=0.1:0.9:0.4"},
}
COMMANDS = (
    ("average", "{own}", "{path}"),
    ("compare_models", "{own}", "{path}"),
    ("convert", "{path}", "--dtype", "bfloat16"),
    ("lora", "extract", "{own}", "{path}", "--rank", "4"),
    ("lora", "merge", "{path}", "--adapters", "{adapter}"),
    ("merge", "{recipe}"),
    ("merge", "{recipe}", "--sweep", "ratio=0.1:0.9:0.4"),
)


@pytest.fixture
def own(user: User, home: Path) -> dict[str, str]:
    return {"own": str(model(user, home / "own")), "adapter": str(adapter(user, home / "adapter"))}


@pytest.fixture
def unlisted(other: User) -> str:
    """A checkpoint that another's run has just saved."""
    run = factories.make_job(other, name="theirs", status=Status.RUNNING)
    folder = Path(run.run_dir, "checkpoints/global_step_5")
    factories.make_model_folder(folder / "huggingface")
    return str(folder)


@pytest.mark.parametrize("action", ["check", "start"])
@pytest.mark.parametrize("url", FORMS)
def test_by_the_forms(
    page: Client, own: dict[str, str], unlisted: str, url: str, action: str
) -> None:
    for path in (unlisted, f"{unlisted}/huggingface"):
        fields = {name: text.format(**own, path=path) for name, text in FORMS[url].items()}
        job = {"uuid": uuids.uuid4(), "machine": local_machine().pk, "action": action}
        response = page.post(url, {**fields, **job})
        assert response.status_code == 422
        assert SAID in response.content.decode()
    assert not Job.objects.filter(status=Status.QUEUED).exists()


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: " ".join(words[:2]))
def test_by_the_commands(
    user: User, staff: User, home: Path, own: dict[str, str], unlisted: str, words: tuple[str, ...]
) -> None:
    file = home / "recipe.yaml"
    file.write_text(RECIPE.format(**own, path=unlisted))
    argv = [word.format(**own, path=unlisted, recipe=file) for word in words]
    with pytest.raises(CommandError, match=SAID):
        call_command(*argv, "--user", user.username)
    assert not Job.objects.filter(status=Status.QUEUED).exists()


def test_what_is_being_deleted_is_told_by_the_check(
    page: Client, user: User, home: Path, own: dict[str, str]
) -> None:
    going = str(model(user, home / "going"))
    place = artifact_at(Path(going)).places.get()
    Place.objects.filter(pk=place.pk).update(gone_at=timezone.now(), gone_by="bob")
    Removal.objects.create(place=place, who="bob")
    for url, fields in FORMS.items():
        given = {name: text.format(**own, path=going) for name, text in fields.items()}
        job = {"uuid": uuids.uuid4(), "machine": local_machine().pk, "action": "check"}
        response = page.post(url, {**given, **job})
        assert response.status_code == 422, url
        assert f"{going} is being deleted: bob asked for it." in response.content.decode(), url
