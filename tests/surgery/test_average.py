"""From the page of an average, or its command, to the job that makes it."""

import html
import json
import uuid as uuids
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from compute.machines.local import local_machine
from compute.models import Machine
from jobs.kinds.base import End
from jobs.models import Job, Place, Removal, Status
from jobs.process import Placement, Spread
from surgery.kinds.average import Average, AverageSpec
from surgery.making import judging
from tests import factories
from tests.pages import asks_for_login, queries, refuses_other_methods
from tests.surgery.conftest import FakeLook
from tests.surgery.models import artifact_at, checkpoint, model

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("queue")]
NEW = "/surgery/average/"


@pytest.fixture
def run(user: User, home: Path) -> Job:
    """A run with checkpoints of the steps 10, 20 and 30, and a loss at each."""
    job = factories.make_job(user, name="sums", status=Status.COMPLETED)
    for step in (10, 20, 30):
        checkpoint(job, home / "run", step)
    factories.add_points(job, "val/loss", {10: 4.0, 20: 2.0, 30: 1.0})
    return job


def saved(home: Path, *steps: int) -> list[str]:
    return [str(home / f"run/checkpoints/global_step_{step}") for step in steps]


def form(models: list[str], **fields: object) -> dict[str, object]:
    given = {"uuid": uuids.uuid4(), "models": models, "method": "uniform", "action": "start"}
    return {**given, "machine": local_machine().pk, **fields}


def made() -> Job:
    return Job.objects.get(kind="average")


def test_checkpoints_become_a_job_in_the_order_of_their_steps(
    page: Client, run: Job, home: Path
) -> None:
    data = form(saved(home, 30, 10, 20), method="ema", decay="0.5")
    for _ in range(2):  # the same form twice is one job
        response = page.post(NEW, data)
    job = made()
    assert response.headers["Location"] == job.get_absolute_url()
    assert (job.name, job.status, job.gpus) == (
        "Average of 3 models: the later the more (ema)", Status.QUEUED, 0,
    )  # fmt: skip
    assert job.spec_of_kind.to_node() == {
        "method": "ema", "decay": 0.5,
        "checkpoints": [
            {"path": path, "step": step}
            for path, step in zip(saved(home, 10, 20, 30), (10, 20, 30), strict=True)
        ],
    }  # fmt: skip
    assert [str(each) for each in job.inputs.all()] == [f"Checkpoint of job {job.pk}"] * 3


def test_what_is_being_deleted_is_not_read(page: Client, staff: User, run: Job, home: Path) -> None:
    paths = saved(home, 10, 20)
    place = Place.objects.get(path=paths[0])
    Place.objects.filter(pk=place.pk).update(gone_at=timezone.now(), gone_by="bob")
    Removal.objects.create(place=place, who="bob")
    said = f"{paths[0]} is being deleted: bob asked for it."
    response = page.post(NEW, form([], more_models="\n".join(paths)))
    assert (response.status_code, said in html.unescape(response.content.decode())) == (422, True)
    with pytest.raises(CommandError, match="is being deleted: bob asked"):
        call_command("average", *paths, method="uniform", user=staff.username)
    assert not Job.objects.filter(kind="average").exists()


def test_the_last_ones_are_all_that_is_read(page: Client, run: Job, home: Path) -> None:
    page.post(NEW, form(saved(home, 10, 20, 30), method="last", last_count="2"))
    read = {each.artifact.step for each in made().inputs.all() if each.artifact}
    assert read == {20, 30}
    assert made().spec_of_kind.to_node()["last"] == 2


def test_a_metric_of_the_run_gives_the_weights(page: Client, run: Job, home: Path) -> None:
    data = form(saved(home, 10, 20, 30), method="metric", metric="val/loss")
    assert page.post(NEW, data).status_code == 302
    told = made().spec_of_kind.to_node()
    assert (told["method"], told["higher_is_better"]) == ("weighted", False)
    assert [each["value"] for each in told["checkpoints"]] == [4.0, 2.0, 1.0]
    assert "metric" not in told


def test_weights_by_hand_and_models_by_path(page: Client, user: User, home: Path) -> None:
    one, other = model(user, home / "a"), home / "brought"
    other.mkdir()
    (other / "config.json").write_text((one / "config.json").read_text())
    data = form([str(one)], more_models=f"{other}\n", method="weights", weights="1, 3")
    assert page.post(NEW, data).status_code == 302
    told = made().spec_of_kind.to_node()
    assert (told["method"], told["higher_is_better"]) == ("weighted", True)
    assert [(each["step"], each["value"]) for each in told["checkpoints"]] == [(1, 1.0), (2, 3.0)]
    brought = artifact_at(other)
    assert (brought.job, brought.owner, brought.label) == (None, user, "brought")


def told() -> list[tuple[str, object]]:
    """The folders of the average that was made, in their order, with what each counts."""
    parts = made().spec_of_kind.to_node()["checkpoints"]
    assert [each["step"] for each in parts] == sorted(each["step"] for each in parts)
    return [(Path(each["path"]).name, each.get("value")) for each in parts]


def test_a_weight_is_that_of_the_checkpoint_it_was_given_for(
    page: Client, staff: User, run: Job, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = form(saved(home, 30, 10), method="weights", weights="0.9 0.1")
    checked = page.post(NEW, data | {"action": "check"}).content.decode()
    lines = [f"step {step}, {saved(home, step)[0]}: weight {weight}"
             for step, weight in ((10, 0.1), (30, 0.9))]  # fmt: skip
    assert checked.index(f"<li>{lines[0]}</li>") < checked.index(f"<li>{lines[1]}</li>")
    page.post(NEW, data)
    assert told() == [("global_step_10", 0.1), ("global_step_30", 0.9)]
    argv = ["average", *saved(home, 30, 10), "--method", "weights", "--weights", "0.9", "0.1"]
    call_command(*argv, "--check")
    assert capsys.readouterr().out.splitlines()[-2:] == lines
    made().delete()
    call_command(*argv)
    assert told() == [("global_step_10", 0.1), ("global_step_30", 0.9)]


@pytest.mark.parametrize(("method", "more"), [("ema", "decay"), ("last", "last_count")])
def test_without_steps_the_models_of_the_list_count_from_the_oldest_to_the_newest(
    page: Client, user: User, home: Path, method: str, more: str
) -> None:
    listed = [str(model(user, home / name)) for name in ("first", "second", "third")][::-1]
    typed = [str(model(user, home / name)) for name in ("z", "a")]
    data = form(listed, method=method, more_models="\n".join(typed))
    data[more] = {"decay": "0.9", "last_count": "4"}[more]
    checked = page.post(NEW, data | {"action": "check"}).content.decode()
    assert checked.index(f"<li>{typed[0]}</li>") < checked.index(f"<li>{typed[1]}</li>")
    assert (f"<li>{home}/first</li>" in checked) == (method == "ema")
    page.post(NEW, data)
    assert [name for name, _ in told()] == ["first", "second", "third", "z", "a"]


def test_checkpoints_of_two_runs_with_the_same_step(
    page: Client, user: User, run: Job, home: Path
) -> None:
    other = factories.make_job(user, name="other", status=Status.COMPLETED)
    later = str(checkpoint(other, home / "other", 10))
    factories.add_points(other, "val/loss", {10: 8.0})
    data = form([later, *saved(home, 20, 10)], method="metric", metric="val/loss")
    assert page.post(NEW, data).status_code == 302
    assert told() == [("global_step_10", 4.0), ("global_step_20", 2.0), ("global_step_10", 8.0)]


WRONG: list[tuple[dict[str, object], str, str]] = [
    ({"models": []}, "models", "Choose from 2 to 64 models, not 0."),
    ({"method": "x"}, "method", "Select a valid choice"),
    ({"method": "last"}, "last_count", "It is needed"),
    ({"method": "last", "last_count": "9"}, "last_count", "9 are too many"),
    ({"method": "last", "last_count": "1"}, "last_count", "greater than or equal to 2"),
    ({"method": "ema"}, "decay", "It is needed"),
    ({"method": "ema", "decay": "1.5"}, "decay", "less than or equal to 1"),
    ({"method": "ema", "decay": "nan"}, "decay", "Enter a number"),
    ({"method": "weights", "weights": "1 2"}, "weights", "There are 2 weights for 3 models."),
    ({"method": "weights", "weights": "1 2 x"}, "weights", "x is no number."),
    ({"method": "weights", "weights": "1 2 0"}, "weights", "A weight is above 0"),
    ({"method": "weights", "weights": "1 2 nan"}, "weights", "A weight is above 0"),
    ({"method": "weights", "weights": "1 2 1e400"}, "weights", "A weight is above 0"),
    ({"method": "metric"}, "metric", "It is needed"),
    ({"method": "metric", "metric": "x"}, "better", "does not say whether higher is better"),
    ({"method": "metric", "metric": "val/acc"}, "metric", "was not logged at step 10, 20, 30."),
    ({"machine": "999"}, "machine", "Select a valid choice"),
    ({"name": "a\nb"}, "name", "one line"),
    ({"dtype": "int8"}, "dtype", "Select a valid choice"),
    ({"models": ["/etc"]}, "models", "Select a valid choice"),
    ({"more_models": "/etc"}, "models", "outside the allowed folders"),
    ({"more_models": "org/name"}, "models", "not a whole path"),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "field", "said"), WRONG)
def test_what_is_wrong_is_said_at_its_field(
    page: Client, run: Job, home: Path, fields: dict[str, object], field: str, said: str
) -> None:
    response = page.post(NEW, form(saved(home, 10, 20, 30)) | fields)
    assert response.status_code == 422
    text = html.unescape(response.content.decode())
    error = text.split(f'id="error-{field}"')[1].split("</p>")[0]
    assert said in error
    assert not Job.objects.filter(kind="average").exists()


def test_a_metric_that_is_not_above_zero(page: Client, run: Job, home: Path) -> None:
    factories.add_points(run, "val/reward", {10: 1.0, 20: 0.0, 30: 2.0})
    data = form(saved(home, 10, 20, 30), method="metric", metric="val/reward")
    assert "not above 0 at each of the steps" in page.post(NEW, data).content.decode()


def test_models_of_others_and_of_other_shapes(
    page: Client, user: User, other: User, home: Path
) -> None:
    mine, wide = model(user, home / "mine"), model(user, home / "wide", hidden_size=16)
    theirs = model(other, home / "theirs")
    for path, said in ((wide, "differ in hidden_size"), (theirs, "no model of yours")):
        response = page.post(NEW, form([str(mine)], more_models=str(path)))
        assert said in response.content.decode()
        assert response.status_code == 422
    far = model(user, home / "far", Machine.objects.create(name="box", kind="ssh", host="box.x"))
    assert "lies on box and not" in page.post(NEW, form([str(mine), str(far)])).content.decode()


def test_the_form_offers_a_run_and_has_artifacts_chosen(
    page: Client, user: User, other: User, run: Job, home: Path
) -> None:
    model(user, home / "a")
    theirs = model(other, home / "theirs")
    ten = artifact_at(Path(saved(home, 10)[0]))
    asked = f"{NEW}?job={run.pk}&from={ten.pk}&from=x&from={artifact_at(theirs).pk}"
    shown = page.get(asked).content.decode()
    assert f'<option value="{saved(home, 10)[0]}" selected>' in shown
    assert f'<option value="{saved(home, 30)[0]}">' in shown
    assert f'<option value="{home / "a"}"' not in shown
    assert "theirs" not in shown
    assert f'<option value="{home / "a"}"' in page.get(NEW).content.decode()
    assert page.get(f"{NEW}?job=999999").status_code == 404


def test_checking_makes_no_job_and_more_models_no_more_queries(
    page: Client, user: User, run: Job, home: Path
) -> None:
    checked = page.post(NEW, form(saved(home, 10, 20), action="check"))
    assert "The models were looked into: 50 tensors" in checked.content.decode()
    assert "Nothing that can be known before the start" in checked.content.decode()
    assert not Job.objects.filter(kind="average").exists()
    few = queries(page, NEW)
    for name in ("a", "b", "c"):
        model(user, home / name)
    assert queries(page, NEW) == few


def test_the_check_of_more_models_makes_no_more_queries(
    page: Client, user: User, home: Path, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    paths = [str(model(user, home / str(nr))) for nr in range(12)]
    with CaptureQueriesContext(connection) as few:
        assert page.post(NEW, form(paths[:2], action="check")).status_code == 200
    with django_assert_num_queries(len(few)):
        assert page.post(NEW, form(paths, action="check")).status_code == 200


@pytest.mark.parametrize(
    "change", [{"method": "ema", "decay": "0.5"}, {"name": "another"}, {"models": "all"}]
)
def test_a_form_that_is_changed_after_its_start_is_not_lost(
    page: Client, run: Job, home: Path, change: dict[str, object]
) -> None:
    data = form(saved(home, 10, 20))
    page.post(NEW, data)
    first = made()
    change = change if "models" not in change else {"models": saved(home, 10, 20, 30)}
    response = page.post(NEW, data | change)
    assert response.status_code == 422
    said = response.context["form"].non_field_errors()[0]
    assert f"this form has started {first.name} (job {first.pk}) already" in said
    again = data | change | {"uuid": response.context["form"]["uuid"].value()}
    assert page.post(NEW, again).status_code == 302
    assert Job.objects.filter(kind="average").count() == 2
    first.refresh_from_db()
    assert page.post(NEW, data).headers["Location"] == first.get_absolute_url()


def test_a_form_with_the_number_of_another_s_job(
    page: Client, run: Job, other: User, home: Path
) -> None:
    data = form(saved(home, 10, 20), uuid=factories.make_job(other).uuid)
    response = page.post(NEW, data)
    assert response.status_code == 422
    assert "Send it once more." in response.content.decode()
    again = {**data, "uuid": response.context["form"]["uuid"].value()}
    assert page.post(NEW, again).status_code == 302


@pytest.fixture
def judge(user: User, home: Path) -> Job:
    """A run of SFT that validates."""
    return factories.make_job(user, name="teacher", status=Status.COMPLETED)


def test_a_greedy_soup_is_scored_by_the_validation_of_a_run(
    page: Client, run: Job, judge: Job, home: Path
) -> None:
    data = form(saved(home, 10, 20, 30), method="greedy", judge=judge.pk, metric="val/loss")
    checked = page.post(NEW, data | {"action": "check"}).content.decode()
    assert f"step 30, {saved(home, 30)[0]}: val/loss 1<" in checked
    assert page.post(NEW, data).status_code == 302
    job = made()
    told = job.spec_of_kind.to_node()
    assert (told["method"], told["higher_is_better"]) == ("greedy", False)
    assert [each["value"] for each in told["checkpoints"]] == [4.0, 2.0, 1.0]
    assert job.job_kind.reads(job.spec_of_kind).files == {
        "train_files": "/data/train.parquet", "val_files": "/data/val.parquet",
    }  # fmt: skip
    moved = job.job_kind.placed(job.spec_of_kind, {"val_files": "/far/v"})
    command = job.job_kind.command(moved, Placement("/w/attempt-1", "/python", "a-run"), {})
    score = json.loads(command.argv[4])["score"]
    assert (score["metric"], score["step"]) == ("val/loss", 1)
    assert {
        "model.path=/w/attempt-1/.model.scoring/model", "data.val_files=/far/v", "optim.lr=0.0",
        "trainer.total_training_steps=1", "trainer.logger=[console,file]",
    } <= set(score["argv"])  # fmt: skip
    assert score["env"]["VERL_FILE_LOGGER_PATH"] == "/w/attempt-1/.model.scoring/metrics.jsonl"
    shown = page.get(job.get_absolute_url()).content.decode()
    assert "Step 20" in shown.split('id="run-report"')[1].split("</table>")[0]


def test_a_greedy_soup_without_a_metric_has_no_order_yet(
    page: Client, run: Job, judge: Job, home: Path
) -> None:
    data = form(saved(home, 10, 20), method="greedy", judge=judge.pk)
    assert page.post(NEW, data).status_code == 302
    told = made().spec_of_kind.to_node()
    assert "higher_is_better" not in told
    assert "value" not in told["checkpoints"][0]


def test_a_run_that_cannot_score_is_not_offered(
    page: Client, staff: User, other: User, run: Job, judge: Job, home: Path
) -> None:
    data = form(saved(home, 10, 20), method="greedy")
    assert "It is needed" in page.post(NEW, data).content.decode()
    spec = judge.spec
    theirs = factories.make_job(other, status=Status.COMPLETED)
    changed = spec | {"overrides": ["optim.lr=1"]}
    odd = [theirs, *(
        factories.make_job(judge.owner, spec=each, status=status)
        for each, status in (
            (changed, Status.COMPLETED), (spec, Status.FAILED),
            (spec | {"values": {**spec["values"], "val_files": ""}}, Status.COMPLETED),
            (spec | {"values": {**spec["values"], "lr": 0.0}}, Status.COMPLETED),
        )
    )]  # fmt: skip
    for each in odd:
        answer = page.post(NEW, data | {"judge": each.pk})
        assert (answer.status_code, "Select a valid choice" in answer.content.decode()) == (
            422, True,
        )  # fmt: skip
    box = Machine.objects.create(name="box", kind="ssh", host="box.x")
    Job.objects.filter(pk=judge.pk).update(machine=box)
    said = html.unescape(page.post(NEW, data | {"judge": judge.pk}).content.decode())
    assert "teacher ran on box, and the models lie on" in said
    with pytest.raises(CommandError, match="choose a run of that machine"):
        call_command("average", *saved(home, 10, 20), "--method", "greedy", "--judge", judge.pk)


@pytest.mark.backends
def test_many_that_cannot_score_do_not_crowd_out_a_run(
    user: User, judge: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two sweeps of 50 leave 100 scores that are newer than every run."""
    monkeypatch.setattr(judging, "OFFERED", 2)
    values = judge.spec["values"]
    no_rate = {"values": {name: values[name] for name in values if name != "lr"}}
    changed = ({"lr": 0}, {"lr": 0.0}, {"val_files": ""})
    cannot = [{"values": values | each} for each in changed] + [{"overrides": ["optim.lr=1"]}]
    other, *_ = [
        factories.make_job(user, spec=judge.spec | each, status=Status.COMPLETED)
        for each in (no_rate, *cannot)
    ]
    assert judging.fit(judging.runs_of(user)) == [other, judge]


def test_a_greedy_soup_takes_the_gpus_of_its_judge(judge: Job) -> None:
    values = {**judge.spec["values"], "device": "cuda", "gpus": 2}
    told = {"job": judge.pk, "of": "sft", "train": judge.spec | {"values": values}}
    parts = [{"path": f"/m/{nr}", "step": nr} for nr in (1, 2, 3)]
    spec, kind = AverageSpec("greedy", parts, judge=told), Average()
    assert (kind.devices(spec), kind.devices(AverageSpec("uniform", parts, judge=told))) == (2, 0)
    assert kind.spread(spec, [4]) == Spread(1, 2)
    on_cpu = AverageSpec("greedy", parts, judge=told | {"train": judge.spec})
    assert (kind.spread(on_cpu, [0]), kind.ranks(on_cpu)) == (Spread(1, 1), 1)
    command = kind.command(spec, Placement("/w", "/python", "a", devices=(4, 5)), {})
    assert "CUDA_VISIBLE_DEVICES" not in command.env
    score = json.loads(command.argv[4])["score"]
    assert score["env"]["CUDA_VISIBLE_DEVICES"] == "4,5"
    with pytest.raises(ValueError, match="cannot be read"):
        kind.command(AverageSpec("greedy", parts), Placement("/w", "/python", "a"), {})


def test_the_report_names_what_is_kept_and_left_out() -> None:
    spec = AverageSpec("greedy", [{"path": f"/m/{nr}", "step": nr} for nr in (1, 2)])
    kind = Average()
    assert [line.state for line in kind.report(spec, {}).lines] == ["waiting", "waiting"]
    rows = [
        {"step": 2, "path": "/m/2", "state": "kept", "score": 0.5, "seconds": 3.0, "share": 1.0},
        {"step": 1, "path": "/m/1", "state": "left_out", "score": None, "share": 0.0},
    ]
    tried = [{**rows[0], "share": None}, {**rows[1], "state": "trying", "share": None}]
    lines = kind.report(spec, {"tried": {"candidates": tried}}).lines
    assert [(line.name, line.state, line.seconds) for line in lines] == [
        ("step 2", "kept", 3.0), ("step 1", "trying", None),
    ]  # fmt: skip
    assert lines[0].said == "val/loss 0.5, /m/2"
    said = {"made": {"tensors": 3, "bytes": 2048, "checkpoints": rows}}
    assert [line.state for line in kind.report(spec, said).lines] == ["kept", "left_out"]
    odd = [{"step": 1, "score": 10**400, "alone": float("nan"), "share": 10**400}]
    assert kind.report(spec, {"made": {"checkpoints": odd}}).lines[0].said == ""
    assert (kind.is_repeatable(spec), kind.is_repeatable(AverageSpec())) == (False, True)
    assert kind.report(AverageSpec("uniform", spec.checkpoints), {}).lines == ()
    done = kind.judge(spec, End(0, 9, 9, said=said))
    assert done.reason == "The average of 1 of 2 candidates is made: 3 tensors, 2.0 KiB."


def test_what_the_node_sees_is_said(
    page: Client, staff: User, user: User, home: Path, run: Job, look: FakeLook
) -> None:
    look.refusal = "The shard of rank 1 is missing."
    response = page.post(NEW, form(saved(home, 10, 20), action="check"))
    assert response.status_code == 422
    assert look.refusal in response.content.decode()
    with pytest.raises(CommandError, match="rank 1 is missing"):
        call_command("average", *saved(home, 10, 20), "--check")


def test_who_may_and_how(page: Client) -> None:
    assert asks_for_login(NEW)
    assert refuses_other_methods(page, NEW, "get", "post")


def test_the_command(staff: User, run: Job, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["average", "--job", str(run.pk), "--method", "last", "--last", "2", "--json"]
    call_command(*argv, "--check")
    assert json.loads(capsys.readouterr().out)["last"] == 2
    assert not Job.objects.filter(kind="average").exists()
    call_command(*argv)
    assert json.loads(capsys.readouterr().out)["id"] == made().pk
    call_command("average", *saved(home, 10, 20), "--name", "two", "--json")
    assert json.loads(capsys.readouterr().out)["name"] == "two"
    for wrong, said in (
        (["--job", str(run.pk), "--steps", "11"], "no whole checkpoint of step 11"),
        ([*saved(home, 10), "--steps", "10"], "say of which run"),
        ([*saved(home, 10)], "Choose from 2 to 64"),
        ([*saved(home, 10, 20), "--machine", "moon"], "no machine moon"),
        ([*saved(home, 10, 20), "--method", "ema"], "needed"),
    ):
        with pytest.raises(CommandError, match=said):
            call_command("average", *wrong)


def test_the_process_and_what_its_end_is_worth() -> None:
    spec = AverageSpec("last", [{"path": f"/m/{nr}", "step": nr} for nr in (1, 2, 3)], last=2)
    command = Average().command(spec, Placement("/w/attempt-1", "/python", "a-run"), {})
    assert command.argv[:4] == ("/python", "-m", "trainyard_node.average", "--text")
    assert command.argv[5:] == ("--out", "/w/attempt-1/model")
    assert Average().reads(spec).inputs == {"model 1": "/m/2", "model 2": "/m/3"}
    said = {"made": {"tensors": 3, "bytes": 2048}}
    done = Average().judge(spec, End(0, 9, 9, said=said))
    assert (done.status, done.reason) == ("completed", "The average is made: 3 tensors, 2.0 KiB.")
