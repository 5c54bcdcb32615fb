"""From the page of a merge, or its command, to the job that makes it."""

import html
import json
import uuid as uuids
from pathlib import Path

import pytest
import yaml
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client

from compute.machines.local import local_machine
from compute.models import Machine
from jobs.artifacts.lineage import lineage, lines
from jobs.kinds.base import MODEL, End, Product
from jobs.models import Artifact, Job, Status
from jobs.process import Placement
from surgery.kinds.merge import Merge, MergeSpec
from tests import factories
from tests.pages import HTMX, asks_for_login, queries, refuses_other_methods
from tests.surgery.conftest import FakeLook
from tests.surgery.models import adapter, artifact_at, model

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("queue")]
NEW = "/surgery/new/"


@pytest.fixture
def pair(user: User, home: Path) -> tuple[Path, Path]:
    return model(user, home / "a"), model(user, home / "b")


def recipe(*paths: Path) -> str:
    models = "".join(f"- model: {path}\n" for path in paths)
    return f"merge_method: linear\nmodels:\n{models}parameters:\n  weight: 0.5\n"


def form(text: str, **fields: object) -> dict[str, object]:
    given = {"uuid": uuids.uuid4(), "recipe": text, "name": "both", "action": "start"}
    return {**given, "machine": local_machine().pk, **fields}


def test_a_recipe_becomes_a_job_that_reads_its_models(
    page: Client, pair: tuple[Path, Path]
) -> None:
    data = form(recipe(*pair))
    for _ in range(2):  # the same form twice is one job
        response = page.post(NEW, data)
    job = Job.objects.get(kind="merge")
    assert response.headers["Location"] == job.get_absolute_url()
    assert (job.name, job.status, job.gpus) == ("both", Status.QUEUED, 0)
    assert job.spec_of_kind.recipe.strip() == recipe(*pair).strip()
    assert {each.artifact.places.get().path for each in job.inputs.all() if each.artifact} == {
        str(path) for path in pair
    }
    shown = "\n".join(lines(lineage(job, "up").root))
    assert "made a" in shown
    assert "made b" in shown


@pytest.mark.parametrize("whose", ["theirs", "nobody's"])
def test_a_form_with_a_number_that_is_not_its_own_keeps_what_was_filled_in(
    page: Client, other: User, pair: tuple[Path, Path], whose: str
) -> None:
    uuid = str(factories.make_job(other).uuid) if whose == "theirs" else "no number"
    response = page.post(NEW, form(recipe(*pair), uuid=uuid))
    assert response.status_code == 422
    assert "Send it once more." in response.content.decode()
    assert not Job.objects.filter(kind="merge").exists()
    filled = response.context["form"]
    again = {name: filled[name].value() for name in ("uuid", "recipe", "machine", "name")}
    assert page.post(NEW, {**again, "action": "start"}).status_code == 302
    assert Job.objects.get(kind="merge").name == "both"


def test_another_s_model_by_any_way_of_writing_its_path(
    page: Client, other: User, home: Path
) -> None:
    theirs = model(other, home / "theirs")
    (home / "link").symlink_to(theirs)
    brought = model(other, home / "brought")
    Artifact.objects.filter(places__path=str(brought)).update(job=None)
    for written, said in (
        (str(theirs), "There is no model of yours at"),
        (f"{theirs}/", f"Write {theirs}/ as {theirs}."),
        (f"/{theirs}", f"as {theirs}."),
        (f"{home}/x/../theirs", f"as {theirs}."),
        (str(home / "link"), "There is no model of yours at"),
    ):
        text = recipe(brought, brought).replace(f"{brought}\n", f"{written}\n", 1)
        response = page.post(NEW, form(text, action="check"))
        assert response.status_code == 422, written
        assert said in html.unescape(response.content.decode()), written
    tokens = recipe(brought) + f"tokenizer_source: {theirs}\n"
    assert page.post(NEW, form(tokens, action="check")).status_code == 422
    assert page.post(NEW, form(recipe(brought), action="check")).status_code == 200


def test_the_page_writes_a_recipe_and_checks_it(page: Client, pair: tuple[Path, Path]) -> None:
    given = {
        "action": "write", "method": "linear", "models": [str(path) for path in pair],
        "more_models": "", "base": "", "parameters": "weight: [0.25, 0.75]", "dtype": "",
    }  # fmt: skip
    written = page.post(NEW, given).content.decode()
    assert "weight: 0.75" in written
    assert "formnovalidate" in written  # a browser would ask for a recipe before one is written
    checked = page.post(NEW, form(recipe(*pair), action="check"))
    assert "speaks against it. The models were looked into: 50 tensors, 4.0 KiB to read" in (
        checked.content.decode()
    )
    wrong = page.post(NEW, given | {"parameters": "size: 1"})
    assert wrong.status_code == 422
    assert "linear has no parameter size" in wrong.content.decode()
    assert not Job.objects.filter(kind="merge").exists()


def test_the_fields_of_tokenizer_and_template_write_their_part(
    page: Client, pair: tuple[Path, Path]
) -> None:
    first, _ = pair
    given = {
        "action": "write", "method": "linear", "models": [str(path) for path in pair],
        "parameters": "weight: 1", "tokenizer": "union", "multiple": "64",
        "tokens": f'"<|im_end|>": {{source: {first}, force: true}}',
        "template": "own", "own_template": "{{ messages }}\r\n{{ bos_token }}",
    }  # fmt: skip
    data = yaml.safe_load(page.post(NEW, given).context["form"]["recipe"].value())
    assert data["tokenizer"] == {
        "source": "union",
        "tokens": {"<|im_end|>": {"source": str(first), "force": True}},
        "pad_to_multiple_of": 64,
    }
    assert data["chat_template"] == "{{ messages }}\n{{ bos_token }}"
    live = previewed(page, **given, uuid=uuids.uuid4(), machine=local_machine().pk)
    assert "pad_to_multiple_of: 64" in live
    for fields, wrong in (
        ({"tokenizer": ""}, "tokens"),
        ({"tokenizer": "", "tokens": ""}, "multiple"),
        ({"tokenizer": "folder"}, "tokenizer_folder"),
        ({"tokens": "[PAD]: {}"}, "tokens"),
        ({"multiple": "0"}, "multiple"),
        ({"own_template": " "}, "own_template"),
    ):
        response = page.post(NEW, given | fields)
        assert response.status_code == 422
        assert set(response.context["write"].errors) == {wrong}
        kept = response.context["write"]["own_template"].value()
        assert kept == (given | fields)["own_template"], "nothing that was filled in is lost"


def test_a_recipe_that_is_pasted_fills_the_fields(page: Client, pair: tuple[Path, Path]) -> None:
    text = recipe(*pair) + "tokenizer: {source: base, pad_to_multiple_of: 8}\nchat_template: auto\n"
    asked = form(text, action="fill", name="kept")
    response = page.post(NEW, asked)
    assert response.status_code == 200
    assert "The fields above say all that the recipe says." in response.content.decode()
    fields = {each.name: each.value() for each in response.context["write"]}
    assert fields["more_models"].splitlines() == [str(path) for path in pair]
    assert (fields["method"], fields["parameters"]) == ("linear", "weight: 0.5\n")
    assert (fields["tokenizer"], fields["multiple"], fields["template"]) == ("base", 8, "auto")
    filled = response.context["form"]
    assert (filled["recipe"].value(), filled["name"].value()) == (text, "kept")
    part = page.post(NEW, {**asked, "recipe": f"{text}seed: 3\n"}).content.decode()
    assert "cannot hold these parts of the recipe: seed." in " ".join(part.split())
    wrong = page.post(NEW, {**asked, "recipe": "x: 1", "parameters": "weight: 3"})
    assert wrong.status_code == 422
    assert "The fields were not filled. The recipe has no x." in wrong.content.decode()
    assert wrong.context["write"]["parameters"].value() == "weight: 3"


def test_the_artifact_of_the_address_is_chosen_with_its_machine(
    page: Client, user: User, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = Machine.objects.create(name="box", kind="ssh", host="box.example", gpus=1)
    far = model(user, home / "far", box)
    monkeypatch.setattr("surgery.making.offered.OFFERED", 1)
    model(user, home / "newer")
    response = page.get(f"{NEW}?from={artifact_at(far).pk}")
    assert f'<option value="{far}" selected>' in response.content.decode()
    assert response.context["form"]["machine"].value() == box.pk
    begun = page.get(f"{NEW}?from=%00&from=x").context["form"]
    assert begun["machine"].value() == local_machine().pk


def test_a_recipe_that_is_changed_after_its_start_is_not_lost(
    page: Client, pair: tuple[Path, Path]
) -> None:
    data = form(recipe(*pair))
    page.post(NEW, data)
    changed = data | {"recipe": recipe(*pair).replace("0.5", "0.25")}
    response = page.post(NEW, changed)
    assert response.status_code == 422
    assert "this form has started both" in response.content.decode()
    uuid = response.context["form"]["uuid"].value()
    assert page.post(NEW, changed | {"uuid": uuid}).status_code == 302
    assert Job.objects.filter(kind="merge").count() == 2


def previewed(page: Client, **fields: object) -> str:
    response = page.post("/surgery/preview/", fields, headers=HTMX)
    assert response.status_code == 200
    text = html.unescape(response.content.decode())
    assert "<html" not in text
    return " ".join(text.split())


def test_the_preview_says_as_one_types(
    page: Client, pair: tuple[Path, Path], look: FakeLook
) -> None:
    fields = {"method": "linear", "models": [str(path) for path in pair], "parameters": "weight: 1"}
    machine = {"machine": local_machine().pk, "uuid": uuids.uuid4()}
    written = previewed(page, **fields, **machine, recipe=recipe(*pair))
    assert f"- model: {pair[0]}" in written
    assert "linear of 2 models: nothing is wrong with it so far." in written
    wrong = previewed(page, **(fields | {"parameters": "size: 1"}), **machine, recipe="x: 1")
    assert "Parameters: linear has no parameter size." in wrong
    assert "Recipe: The recipe has no x." in wrong
    assert previewed(page, **machine) == ""  # nothing is filled in yet
    assert previewed(page) == ""
    assert look.asked == []  # the node is asked by a button alone
    assert not Job.objects.filter(kind="merge").exists()


def test_the_check_looks_into_the_models(
    page: Client, pair: tuple[Path, Path], look: FakeLook, user: User
) -> None:
    look.refusal = "model.safetensors of /m/a is cut off."
    response = page.post(NEW, form(recipe(*pair), action="check"))
    assert response.status_code == 422
    assert look.refusal in response.content.decode()
    assert tuple(look.asked[0][1:4]) == ("-m", "trainyard_node.merge", "--text")
    assert look.asked[0][-1] == "--check"
    box = factories.make_ssh_machine(python="/venv/bin/python")
    one, other = (model(user, Path(f"{path}-far"), box) for path in pair)
    data = form(recipe(one, other), action="check", machine=box.pk)
    assert "The job itself looks into the models first" in page.post(NEW, data).content.decode()
    assert len(look.asked) == 1  # what lies elsewhere is looked into by the job


def test_a_model_is_chosen_by_the_address(page: Client, pair: tuple[Path, Path]) -> None:
    artifact = Artifact.objects.get(places__path=str(pair[0]))
    detail = page.get(artifact.get_absolute_url()).content.decode()
    assert f'href="{NEW}?from={artifact.pk}"' in detail
    shown = page.get(f"{NEW}?from={artifact.pk}&from=x").content.decode()
    assert f'<option value="{pair[0]}" selected>' in shown
    assert f'<option value="{pair[1]}">' in shown


def refused(page: Client, text: str, **fields: object) -> str:
    response = page.post(NEW, form(text, **fields))
    assert response.status_code == 422
    assert page.post(NEW, form(text, **fields), headers=HTMX).status_code == 422
    assert not Job.objects.filter(kind="merge").exists()
    return " ".join(response.content.decode().replace("&#x27;", "'").split())


def test_what_is_refused_before_the_start(
    page: Client, user: User, other: User, home: Path, pair: tuple[Path, Path]
) -> None:
    a, _ = pair
    assert "There is no merge_method 'x'" in refused(page, "merge_method: x")
    assert "outside the allowed folders" in refused(page, recipe(a, Path("/etc")))
    assert "it has no config.json" in refused(page, recipe(a, home / "none"))
    assert "not a whole path" in refused(page, recipe(a, Path("org/name")))
    wide = model(user, home / "wide", hidden_size=16)
    assert "The models differ in hidden_size" in refused(page, recipe(a, wide))
    theirs = model(other, home / "theirs")
    assert "There is no model of yours at" in refused(page, recipe(a, theirs))
    assert "one line" in refused(page, recipe(*pair), name="a\nb")


def test_an_adapter_in_a_model_is_looked_at_and_read(
    page: Client, user: User, other: User, home: Path, pair: tuple[Path, Path]
) -> None:
    a, b = pair
    assert "outside the allowed folders" in refused(page, recipe(a, Path(f"{b}+/etc")))
    assert "it has no adapter_config.json" in refused(page, recipe(a, Path(f"{b}+{a}")))
    theirs = adapter(other, home / "theirs")
    assert "There is no model of yours at" in refused(page, recipe(a, Path(f"{b}+{theirs}")))
    assert "is no model: a folder, or" in refused(page, recipe(a, Path(f"{b}+")))
    own = adapter(user, home / "own")
    page.post(NEW, form(recipe(a, Path(f"{b}+{own}"))))
    read = Job.objects.get(kind="merge").inputs.all()
    assert {each.artifact.places.get().path for each in read if each.artifact} == {
        str(path) for path in (a, b, own)
    }


def test_a_tokenizer_brings_vocabularies_together(
    page: Client, user: User, home: Path, pair: tuple[Path, Path]
) -> None:
    longer = model(user, home / "longer", vocab_size=99)
    assert "The models differ in vocab_size" in refused(page, recipe(pair[0], longer))
    page.post(NEW, form(f"{recipe(pair[0], longer)}tokenizer_source: union\n"))
    assert Job.objects.filter(kind="merge").count() == 1


def test_a_model_on_another_machine_is_named_with_it(
    page: Client, user: User, home: Path, pair: tuple[Path, Path]
) -> None:
    box = Machine.objects.create(name="box", kind=Machine.Kind.SSH, host="box.example")
    far = model(user, home / "far", box)
    said = refused(page, recipe(pair[0], far))
    assert f"{far} lies on box and not on" in said
    assert "or bring the model to" in said


def test_the_list(page: Client, user: User, other: User, pair: tuple[Path, Path]) -> None:
    assert "No surgery yet" in page.get("/surgery/").content.decode()
    page.post(NEW, form(recipe(*pair), name="mine"))
    job = Job.objects.get(kind="merge")
    one = queries(page, "/surgery/")
    for name in ("second", "third"):
        page.post(NEW, form(recipe(*pair), name=name))
    assert queries(page, "/surgery/") == one
    part = page.get("/surgery/?q=mine&sort=name", headers=HTMX).content.decode()
    assert job.get_absolute_url() in part
    assert "second" not in part
    assert "<html" not in part
    assert "No job matches" in page.get("/surgery/?status=failed").content.decode()
    Job.objects.update(owner=other)
    assert "No surgery yet" in page.get("/surgery/").content.decode()


def test_who_may_and_how(page: Client) -> None:
    for url, methods in (
        ("/surgery/", ("get",)),
        (NEW, ("get", "post")),
        ("/surgery/preview/", ("post",)),
    ):
        assert asks_for_login(url, methods[0])
        assert refuses_other_methods(page, url, *methods)


def test_the_command(staff: User, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = recipe(model(staff, home / "a"), model(staff, home / "b"))
    file = home / "recipe.yaml"
    file.write_text(text)
    call_command("merge", str(file), "--check", "--json")
    assert json.loads(capsys.readouterr().out) == {
        "method": "linear", "models": [str(home / "a"), str(home / "b")],
        "seen": {"tensors": 50, "bytes_in": 4096, "bytes_out": 2048},
    }  # fmt: skip
    assert not Job.objects.filter(kind="merge").exists()
    call_command("merge", str(file), "--json")
    made = json.loads(capsys.readouterr().out)
    job = Job.objects.get(kind="merge")
    assert (made["id"], job.name) == (job.pk, "linear of 2 models")
    for argv, said in (
        ([str(home / "no.yaml")], "cannot be read"),
        ([str(file), "--machine", "moon"], "no machine moon"),
        ([str(file), "--name", "a\nb"], "one line"),
    ):
        with pytest.raises(CommandError, match=said):
            call_command("merge", *argv)


def test_the_process_and_what_its_end_is_worth() -> None:
    kind, spec = Merge(), MergeSpec("merge_method: linear")
    place = Placement("/w/attempt-1", "/python", "a-run")
    command = kind.command(spec, place, {})
    assert command.argv == (
        "/python", "-m", "trainyard_node.merge", "--text", spec.recipe, "--out",
        "/w/attempt-1/model",
    )  # fmt: skip
    assert kind.judge(spec, End(0, 3, 9)).status == "failed"
    said = {"made": {"tensors": 3, "bytes": 2048, "digest": "a" * 64}}
    done = kind.judge(spec, End(0, 9, 9, said=said))
    assert (done.status, done.reason) == ("completed", "The model is made: 3 tensors, 2.0 KiB.")
    assert kind.judge(spec, End(1, 9, 9, said=said)).status == "failed"
    refused = kind.judge(spec, End(1, said={"refused": {"message": "There is no model at /m"}}))
    assert (refused.status, refused.reason) == ("failed", "There is no model at /m.")
    stopped = End(1, stop_asked=True, said={"refused": {"message": "x"}})
    assert kind.judge(spec, stopped).status == "stopped"
    measured = kind.measured(Product(MODEL, "model"), said)
    assert (measured.size, measured.digest) == (2048, "a" * 64)
