"""From the page of a conversion, or its command, to its job."""

import html
import json
import uuid as uuids
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client

from compute.machines.local import local_machine
from compute.models import Machine
from jobs.kinds.base import End
from jobs.models import Job, Status
from jobs.process import Placement
from surgery.conversions.layers import LayersError, read_layers
from surgery.kinds.convert import Convert, ConvertSpec
from tests import factories
from tests.pages import asks_for_login, refuses_other_methods
from tests.surgery.models import artifact_at, checkpoint, model

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("queue")]
NEW = "/surgery/convert/"


def form(**fields: object) -> dict[str, object]:
    given = {"uuid": uuids.uuid4(), "action": "start", "machine": local_machine().pk}
    return given | fields


@pytest.fixture
def source(user: User, home: Path) -> str:
    return str(model(user, home / "a"))


def test_a_model_becomes_a_job_that_converts_it(page: Client, source: str) -> None:
    data = form(source=source, dtype="bfloat16", shard_mib="5", vocab="40", layers="1, 0-1")
    for _ in range(2):
        response = page.post(NEW, data)
    job = Job.objects.get(kind="convert")
    assert response.headers["Location"] == job.get_absolute_url()
    assert (job.name, job.status) == ("made a converted", Status.QUEUED)
    assert job.spec_of_kind.to_node() == {
        "source": source, "dtype": "bfloat16", "shard_bytes": 5 * 2**20, "vocab": 40,
        "layers": [1, 0, 1],
    }  # fmt: skip
    assert [(each.role, str(each.artifact)) for each in job.inputs.all()] == [("source", "a")]


def test_a_checkpoint_alone_is_something_to_convert(page: Client, user: User, home: Path) -> None:
    run = factories.make_job(user, name="sums", status=Status.COMPLETED)
    saved = str(checkpoint(run, home / "run", 20))
    made = artifact_at(Path(saved))
    assert f'href="{NEW}?from={made.pk}"' in page.get(made.get_absolute_url()).content.decode()
    shown = page.get(f"{NEW}?from={made.pk}").content.decode()
    assert f'<option value="{saved}" selected>' in shown
    assert page.post(NEW, form(source=saved)).status_code == 302
    job = Job.objects.get(kind="convert")
    assert (job.name, job.spec_of_kind.to_node()) == ("sums, step 20 converted", {"source": saved})
    assert [each.role for each in job.inputs.all()] == ["checkpoint"]


def test_weights_become_whole_numbers(page: Client, staff: User, source: str) -> None:
    assert page.post(NEW, form(source=source, quantize="W4A16")).status_code == 302
    first = Job.objects.get(kind="convert")
    assert first.spec_of_kind.to_node() == {"source": source, "quantize": "W4A16"}
    call_command("convert", source, "--quantize", "W8A16", "--user", first.owner.username)
    assert Job.objects.filter(kind="convert").latest("pk").spec["quantize"] == "W8A16"


WRONG: list[tuple[dict[str, object], str, str]] = [
    ({"source": ""}, "source", "Choose a model"),
    ({"source": "", "source_path": "/etc"}, "source_path", "outside the allowed folders"),
    ({"dtype": ""}, "dtype", "Nothing would be another"),
    ({"dtype": "int8"}, "dtype", "Select a valid choice"),
    ({"quantize": "int8"}, "quantize", "Select a valid choice"),
    ({"shard_mib": "0"}, "shard_mib", "greater than or equal to 1"),
    ({"shard_mib": "9" * 30}, "shard_mib", "less than or equal to"),
    ({"vocab": "-1"}, "vocab", "greater than or equal to 1"),
    ({"vocab": "1.5"}, "vocab", "whole number"),
    ({"layers": "0-1-2"}, "layers", "0-1-2 is no layer"),
    ({"layers": "1-0"}, "layers", "ends before it begins"),
    ({"layers": "0-9999"}, "layers", "more than 1000"),
    ({"layers": "0-2"}, "layers", "The model has 2 layers, counted from 0: there is no layer 2."),
]


@pytest.mark.parametrize(("fields", "field", "said"), WRONG)
def test_what_is_wrong_is_said_at_its_field(
    page: Client, source: str, fields: dict[str, object], field: str, said: str
) -> None:
    response = page.post(NEW, form(source=source, dtype="float32") | fields)
    assert response.status_code == 422
    text = html.unescape(response.content.decode())
    assert said in text.split(f'id="error-{field}"')[1].split("</p>")[0]
    assert not Job.objects.filter(kind="convert").exists()


def test_the_layers_of_a_model_elsewhere_are_left_to_the_job(page: Client, user: User) -> None:
    box = Machine.objects.create(name="box", kind="ssh", host="box.example")
    data = form(source_path="/far/model", machine=box.pk, layers="0-90", action="check")
    said = html.unescape(page.post(NEW, data).content.decode())
    assert "there is no layer" not in said


def test_layers_as_they_are_written() -> None:
    assert read_layers(" 0-3, 5 5,4 ") == [0, 1, 2, 3, 5, 5, 4]
    assert read_layers("") == []
    with pytest.raises(LayersError, match="x is no layer"):
        read_layers("1 x")


def test_who_may_and_how(page: Client) -> None:
    assert asks_for_login(NEW)
    assert refuses_other_methods(page, NEW, "get", "post")


def test_the_command(staff: User, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = str(model(staff, home / "a"))
    call_command("convert", source, "--layers", "0,0,1", "--check", "--json")
    assert json.loads(capsys.readouterr().out)["layers"] == [0, 0, 1]
    assert not Job.objects.filter(kind="convert").exists()
    call_command("convert", source, "--dtype", "float32", "--json")
    assert json.loads(capsys.readouterr().out)["id"] == Job.objects.get(kind="convert").pk
    for argv, said in (
        ([source], "Nothing would be another"),
        ([str(home / "none"), "--dtype", "float32"], "no config.json"),
        ([source, "--vocab", "0"], "greater than or equal to 1"),
    ):
        with pytest.raises(CommandError, match=said):
            call_command("convert", *argv)


def test_the_process_and_what_its_end_is_worth() -> None:
    kind, spec = Convert(), ConvertSpec("/m/a", dtype="float32")
    command = kind.command(spec, Placement("/w/attempt-1", "/python", "a-run"), {})
    assert json.loads(command.argv[4]) == {"source": "/m/a", "dtype": "float32"}
    assert command.argv[5:] == ("--out", "/w/attempt-1/model")
    done = kind.judge(spec, End(0, said={"made": {"tensors": 3}}))
    assert (done.status, done.reason) == ("completed", "The model is made: 3 tensors.")
    assert kind.judge(spec, End(0)).status == "failed"
