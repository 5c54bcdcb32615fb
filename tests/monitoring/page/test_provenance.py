"""What a run was made of, on its page."""

from django.contrib.auth.models import User
from django.test import Client

from jobs.models import Artifact
from jobs.process import Command, Setting
from jobs.provenance.facts import Fact
from monitoring.page.provenance import provenance
from tests import factories


def test_data_models_seeds_and_python(page: Client, user: User) -> None:
    version = factories.make_version()
    settings = (Setting("data.seed", "data.seed=7"), Setting("data.seeds_left", "x=1"))
    command = Command(("/venv/bin/python", "-m", "x"), {}, "/w", settings)
    job = factories.make_job(user, dataset_version=version, command=command.to_json())
    model = Artifact.objects.create(
        kind="huggingface", name="/m/<tiny>", owner=user, digest="ab" * 32
    )
    job.inputs.create(artifact=model, role="model")
    assert provenance(job)["made_of"] == [
        Fact("Data set version", version.label, version.get_absolute_url(), version.sha256),
        Fact("Model to train", "<tiny>", f"/artifacts/{model.pk}/", "ab" * 32),
        Fact("Python", "/venv/bin/python"),
        Fact("Seed", "data.seed=7"),
    ]
    text = page.get(job.get_absolute_url()).content.decode()
    assert "&lt;tiny&gt;" in text
    assert "ab" * 32 in text


def test_before_the_start_nothing_is_claimed(user: User) -> None:
    assert provenance(factories.make_job(user))["made_of"] == []
