"""From the page of a comparison, or its command, to its job, and what that found."""

import html
import json
import uuid as uuids
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client

from compute.machines.local import local_machine
from jobs.artifacts.keeping import keep_products
from jobs.kinds.base import End
from jobs.models import Artifact, Job, Status
from jobs.process import Placement
from surgery.comparisons.findings import NotReadable, read_findings
from surgery.comparisons.heat import heat_of
from surgery.kinds.compare import Compare, CompareSpec
from tests import factories
from tests.pages import HTMX, asks_for_login, queries, refuses_other_methods
from tests.surgery.conftest import FakeLook
from tests.surgery.models import artifact_at, checkpoint, model

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("queue")]
NEW = "/surgery/compare/"


@pytest.fixture
def pair(user: User, home: Path) -> tuple[str, str]:
    return str(model(user, home / "a")), str(model(user, home / "b"))


def form(before: str, after: str, **fields: object) -> dict[str, object]:
    given = {"uuid": uuids.uuid4(), "before": before, "after": after, "action": "start"}
    return {**given, "machine": local_machine().pk, **fields}


def figures(relative: float | None, **more: object) -> dict[str, object]:
    return {
        "distance": 2.0, "relative": relative, "cosine": 0.5, "norm_ratio": 1.25, "max_abs": 0.75,
        "changed": 1.0, **more,
    }  # fmt: skip


FOUND: dict[str, Any] = {
    "models": ["/m/a", "/m/<b>"],
    "layers": [0, 1, None],
    "cells": [
        {"layer": 0, "module": "q_proj", "tensors": 1, **figures(0.0)},
        {"layer": 0, "module": "norms", "tensors": 2, **figures(0.001)},
        {"layer": 1, "module": "q_proj", "tensors": 1, **figures(0.1)},
        {"layer": None, "module": "embed", "tensors": 1, **figures(None)},
    ],
    "tensors": [
        {"name": "model.layers.1.q_proj.weight", "layer": 1, "module": "q_proj", **figures(0.1)},
        {
            "name": "model.embed",
            "layer": None,
            "module": "embed",
            "note": "4 rows",
            **figures(None),
        },
    ],
    "whole": {"tensors": 5, **figures(0.03125)},
    "only_in": [{"count": 1, "first": ["lm_head.weight"]}, {"count": 0, "first": []}],
    "shapes_differ": {"count": 7, "first": [{"name": "x"}, {"name": "y"}]},
    "not_finite": {"count": 0, "first": []},
}


def completed(owner: User, found: object) -> Job:
    job = factories.make_job(
        owner, kind="compare", name="a to b", spec=CompareSpec("/m/a", "/m/b").to_json(),
        status=Status.COMPLETED,
    )  # fmt: skip
    text = found if isinstance(found, str) else json.dumps(found)
    factories.write_run_file(job, "comparison/comparison.json", text)
    return job


def test_two_models_become_a_job_that_reads_them(page: Client, pair: tuple[str, str]) -> None:
    data = form(*pair)
    for _ in range(2):
        response = page.post(NEW, data)
    job = Job.objects.get(kind="compare")
    assert response.headers["Location"] == job.get_absolute_url()
    assert (job.name, job.status) == ("made a and made b compared", Status.QUEUED)
    assert {each.artifact for each in job.inputs.all()} == {artifact_at(Path(p)) for p in pair}
    assert "once it has completed" in page.get(job.get_absolute_url()).content.decode()
    assert "it is queued" in page.get(f"/surgery/comparison/{job.pk}/").content.decode()


def test_a_checkpoint_is_compared_with_what_it_began_with(
    page: Client, user: User, pair: tuple[str, str], home: Path
) -> None:
    run = factories.make_job(user, name="sums", status=Status.COMPLETED)
    saved = str(checkpoint(run, home / "run", 20))
    made = artifact_at(Path(saved))
    assert f'href="{NEW}?from={made.pk}"' in page.get(made.get_absolute_url()).content.decode()
    assert page.post(NEW, form(pair[0], saved)).status_code == 302
    job = Job.objects.get(kind="compare")
    assert job.name == "made a and sums, step 20 compared"
    assert sorted(each.role for each in job.inputs.all()) == ["checkpoint", "source"]


def test_the_node_looks_at_both_before_the_start(
    page: Client, staff: User, pair: tuple[str, str], look: FakeLook,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    checked = page.post(NEW, form(*pair, action="check")).content.decode()
    assert "The models were looked into: 50 tensors" in checked
    assert look.asked[-1][2:] == [
        "trainyard_node.comparing", "--text", json.dumps({"models": [*pair]}), "--out",
        look.asked[-1][-2], "--check",
    ]  # fmt: skip
    call_command("compare_models", *pair, "--check")
    assert "nothing speaks against it" in capsys.readouterr().out
    look.refusal = "They have no tensor of one name and shape."
    assert look.refusal in page.post(NEW, form(*pair, action="check")).content.decode()
    assert not Job.objects.filter(kind="compare").exists()


def test_a_model_by_its_path(page: Client, pair: tuple[str, str], home: Path) -> None:
    data = form(pair[0], "", after_path=pair[1])
    assert page.post(NEW, data).status_code == 302
    assert Job.objects.get(kind="compare").spec == {"before": pair[0], "after": pair[1]}


WRONG: list[tuple[dict[str, object], str, str]] = [
    ({"before": ""}, "before", "Choose a model, or write its path"),
    ({"after_path": "/x"}, "after_path", "and not both"),
    ({"after": "", "after_path": "/etc"}, "after_path", "outside the allowed folders"),
    ({"after": "", "after_path": "a/b"}, "after_path", "not a whole path"),
    ({"after": "/etc"}, "after", "Select a valid choice"),
    ({"machine": "0"}, "machine", "Select a valid choice"),
]


@pytest.mark.parametrize(("fields", "field", "said"), WRONG)
def test_what_is_wrong_is_said_at_its_field(
    page: Client, pair: tuple[str, str], fields: dict[str, object], field: str, said: str
) -> None:
    response = page.post(NEW, form(*pair) | fields)
    assert response.status_code == 422
    text = html.unescape(response.content.decode())
    assert said in text.split(f'id="error-{field}"')[1].split("</p>")[0]
    assert not Job.objects.filter(kind="compare").exists()


def test_a_model_is_not_compared_with_itself(page: Client, pair: tuple[str, str]) -> None:
    response = page.post(NEW, form(pair[0], pair[0]))
    assert "This is the first model" in response.content.decode()


def test_the_form_has_artifacts_chosen(page: Client, pair: tuple[str, str]) -> None:
    one, other = (artifact_at(Path(path)).pk for path in pair)
    shown = page.get(f"{NEW}?from={one}&from={other}").content.decode()
    assert shown.count(" selected>") == 3  # two models and the machine
    for first, second, paths in ((one, other, pair), (other, one, pair[::-1])):
        fields = page.get(f"{NEW}?from={first}&from={second}&from={first}").context["form"]
        assert (fields["before"].value(), fields["after"].value()) == paths
    assert "Nothing that can be known" in page.post(
        NEW, form(*pair, action="check")
    ).content.decode()  # fmt: skip
    assert not Job.objects.filter(kind="compare").exists()


def test_the_map_and_the_tensors_that_changed_most(page: Client, user: User) -> None:
    job = completed(user, FOUND)
    url = f"/surgery/comparison/{job.pk}/"
    text = " ".join(page.get(url).content.decode().split())
    assert "/m/&lt;b&gt;" in text
    assert 'data-heat="0"' in text
    assert 'data-heat="5"' in text
    assert 'title="Relative distance 0.1, Distance 2, Cosine 0.5' in text
    assert "1 tensor only in /m/a: lm_head.weight" in text
    assert "7 tensors of different shapes: x, y, …" in text
    assert "4 rows" in text
    part = page.get(f"{url}?by=cosine", headers=HTMX).content.decode()
    assert "<html" not in part
    assert "Cosine of each module in each layer" in part
    assert page.get(f"{url}?by=nonsense").status_code == 200
    shown = page.get(job.get_absolute_url()).content.decode()
    assert f'href="{url}"' not in shown  # its run told nothing, so nothing is said of it


def test_the_run_s_page_leads_to_it(page: Client, user: User) -> None:
    job = completed(user, FOUND)
    job.events.create(
        at=job.created_at, kind="compared", source="run", attempt=job.attempt,
        data={"whole": FOUND["whole"]},
    )  # fmt: skip
    shown = page.get(job.get_absolute_url()).content.decode()
    assert f'href="/surgery/comparison/{job.pk}/"' in shown
    assert "0.03125" in shown


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ("", "There is no comparison/comparison.json"),
        ("{", "it is no JSON"),
        ("[]", "it is no JSON object"),
    ],
)
def test_what_cannot_be_read_is_said(page: Client, user: User, found: str, said: str) -> None:
    job = completed(user, found)
    response = page.get(f"/surgery/comparison/{job.pk}/")
    assert response.status_code == 200
    assert said in response.content.decode()


@pytest.mark.parametrize(
    "found",
    [
        {},
        {"cells": 3, "tensors": "x", "whole": [], "only_in": 3, "models": {}},
        {"cells": [{"layer": "x"}, 3, {"layer": 1}], "shapes_differ": {"count": -1, "first": 3}},
        {"cells": [{"layer": 1, "module": 3, "relative": True, "cosine": 10**400}]},
        {"cells": [{"layer": 1, "module": "a", "norm_ratio": -1.0, "relative": "1"}]},
    ],
)
def test_a_run_may_write_anything(page: Client, user: User, found: object) -> None:
    job = completed(user, found)
    for by in ("relative", "cosine", "norm_ratio", "changed", "distance"):
        assert page.get(f"/surgery/comparison/{job.pk}/?by={by}").status_code == 200


def test_levels_are_steps_of_the_logarithm() -> None:
    found = read_findings(json.dumps(FOUND).encode())
    heat = heat_of(found.cells, "relative")
    assert heat.modules == ["q_proj", "norms", "embed"]
    levels = [[cell.level for cell in row.cells] for row in heat.rows]
    assert levels == [[0, 1, None], [5, None, None], [None, None, None]]
    assert [(step.level, step.low) for step in heat.legend] == [(0, 0.0), (1, 0.001), (5, 0.1)]
    with pytest.raises(NotReadable, match="no JSON"):
        read_findings(b"\xff")


def test_who_may_and_how(page: Client, user: User, other: User) -> None:
    job = completed(user, FOUND)
    url = f"/surgery/comparison/{job.pk}/"
    assert asks_for_login(NEW)
    assert refuses_other_methods(page, NEW, "get", "post")
    assert asks_for_login(url)
    assert refuses_other_methods(page, url, "get")
    few = queries(page, url)
    Job.objects.filter(pk=job.pk).update(owner=other)
    assert page.get(url).status_code == 404
    assert few < 12
    assert page.get(f"/surgery/comparison/{factories.make_job(user).pk}/").status_code == 404


def test_the_command(staff: User, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, other = str(model(staff, home / "a")), str(model(staff, home / "b"))
    call_command("compare_models", one, other, "--json")
    job = Job.objects.get(kind="compare")
    assert json.loads(capsys.readouterr().out)["id"] == job.pk
    with pytest.raises(CommandError, match="it is queued"):
        call_command("compare_models", "--of", str(job.pk))
    done = completed(staff, FOUND)
    call_command("compare_models", "--of", str(done.pk))
    assert "5 tensors, relative distance 0.03125" in capsys.readouterr().out
    call_command("compare_models", "--of", str(done.pk), "--json")
    assert json.loads(capsys.readouterr().out)["most_changed"][0]["figures"]["relative"] == 0.1
    for argv, said in (
        ([one], "write its path"),
        ([one, one], "This is the first model"),
        ([one, other, "--of", str(done.pk)], "not both"),
        (["--of", str(factories.make_job(staff).pk)], "compares no models"),
    ):
        with pytest.raises(CommandError, match=said):
            call_command("compare_models", *argv)


def test_what_it_makes_is_an_artifact(user: User) -> None:
    job = completed(user, FOUND)
    keep_products(job, {"compared": {}})
    made = Artifact.objects.get(job=job)
    assert (made.kind, made.has_model, made.digest) == (Artifact.Kind.REPORT, False, "")


def test_the_process_and_what_its_end_is_worth() -> None:
    kind, spec = Compare(), CompareSpec("/m/a", "/m/b")
    command = kind.command(spec, Placement("/w/attempt-1", "/python", "a-run"), {})
    assert json.loads(command.argv[4]) == {"models": ["/m/a", "/m/b"]}
    assert command.argv[5:] == ("--out", "/w/attempt-1/comparison")
    done = kind.judge(spec, End(0, said={"compared": {"whole": {"tensors": 5}}}))
    assert (done.status, done.reason) == ("completed", "The models are compared: 5 tensors.")
    assert kind.judge(spec, End(1, said={"compared": {}})).status == "failed"
    assert kind.leaves_no_model(spec) == "Comparison makes no model"
