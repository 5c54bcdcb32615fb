"""A new job trains on what surgery made: with the settings of the run behind it, or of a recipe."""

from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.test import Client

from jobs.artifacts.inputs import keep_inputs
from jobs.artifacts.keeping import keep_products
from jobs.kinds.base import Spec
from jobs.models import Artifact, Status
from surgery.kinds.average import AverageSpec
from surgery.kinds.convert import ConvertSpec
from surgery.kinds.lora import LoraMergeSpec
from surgery.kinds.merge import MergeSpec
from tests import factories
from tests.surgery.models import artifact_at, checkpoint, model

pytestmark = pytest.mark.usefixtures("queue")


def specs(*paths: str) -> list[Spec]:
    """A spec of each kind that makes a model of these."""
    told = [{"path": path, "step": nr} for nr, path in enumerate(paths)]
    models = "".join(f"- model: {path}\n" for path in paths)
    return [
        MergeSpec(f"merge_method: linear\nmodels:\n{models}parameters:\n  weight: 1\n"),
        AverageSpec("uniform", told),
        ConvertSpec(paths[-1], dtype="float32"),
        LoraMergeSpec(paths[0], [{"path": paths[-1], "weight": 1.0}]),
    ]


def made_by(spec: Spec, user: User) -> Artifact:
    job = factories.make_job(
        user, kind=spec.kind, name=f"a {spec.kind}", spec=spec.to_json(), status=Status.COMPLETED
    )
    keep_inputs(job)
    keep_products(job, {})
    return Artifact.objects.get(job=job)


def path_of(made: Artifact) -> str:
    return made.places.get().path


@pytest.mark.parametrize("which", range(4))
def test_the_settings_are_those_of_the_run_behind_it(
    page: Client, user: User, home: Path, which: int
) -> None:
    run = factories.make_job(user, name="sums", status=Status.COMPLETED)
    saved = str(checkpoint(run, home / "run", 20))
    base = str(model(user, home / "base"))
    made = made_by(specs(base, saved)[which], user)
    again = made_by(ConvertSpec(path_of(made), dtype="bfloat16"), user)
    for artifact in (made, again):
        shown = page.get(f"/jobs/new/on/{artifact.pk}/").content.decode()
        assert "With the settings of" in shown
        assert f'value="{path_of(artifact)}"' in shown


@pytest.mark.parametrize("which", range(4))
def test_without_a_run_they_are_those_of_a_recipe(
    page: Client, user: User, home: Path, which: int
) -> None:
    paths = [str(model(user, home / name)) for name in ("a", "b")]
    Artifact.objects.update(job=None)
    made = made_by(specs(*paths)[which], user)
    response = page.get(f"/jobs/new/on/{made.pk}/", follow=True)
    assert response.redirect_chain[-1][0] == f"/jobs/new/?model={made.pk}"
    shown = response.content.decode()
    assert "choose a recipe" in shown
    assert f'href="/jobs/new/sample-sft/?model={made.pk}"' in shown
    filled = page.get(f"/jobs/new/sample-sft/?model={made.pk}").content.decode()
    assert f'value="{path_of(made)}"' in filled


def test_a_model_that_is_not_there_fills_nothing(
    page: Client, user: User, other: User, home: Path
) -> None:
    theirs = artifact_at(model(other, home / "theirs"))
    for asked in (str(theirs.pk), "0", "x", "9" * 30):
        shown = page.get(f"/jobs/new/?model={asked}").content.decode()
        assert "The model of the new job" not in shown
        assert str(home / "theirs") not in page.get(
            f"/jobs/new/sample-sft/?model={asked}"
        ).content.decode()  # fmt: skip
