"""How long answers get: as earlier runs on the same data measured it, the newest first."""

import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.template.loader import render_to_string
from django.test import Client
from django.utils import timezone

from compute.models import Machine
from compute.sizing.question import Lengths
from datasets.models import Version
from jobs.accuracy import keeping
from jobs.fit import services
from jobs.fit.badge import fit_of
from jobs.fit.sources import facts_of
from jobs.models import Job, Status
from jobs.plan import report as plan_report
from jobs.plan import services as asking
from jobs.plan.shown import offers
from jobs.verl import planning
from jobs.verl.phases import ANSWER, CUT, PROMPT
from jobs.verl.recipes import all_recipes
from jobs.verl.spec import TrainSpec
from platform_site.work.models import State
from tests import factories
from tests.pages import queries

pytestmark = pytest.mark.django_db
SMALL, LARGE, OTHER = "qwen2.5-7b", "qwen2.5-32b", "llama-3.1-8b"
SAID = "Answers of an earlier run on this data: 312 tokens on average."
H100 = {"name": "NVIDIA H100 80GB HBM3", "memory_total": 79 << 30}


@pytest.fixture
def version() -> Version:
    return factories.make_version(target="rl")


@pytest.fixture
def box() -> Machine:
    machine = factories.make_ssh_machine(name="box")
    gpus = [H100 | {"index": at} for at in range(8)]
    machine.samples.create(at=timezone.now(), data={"gpus": gpus})
    return machine


def spec(version: Version, model: str = SMALL, kind: str = "grpo", **values: Any) -> TrainSpec:
    asked: dict[str, Any] = {"model_path": model, "gpus": 8, "device": "cuda",
             "max_prompt_length": 512, "max_response_length": 1024, "micro_batch_size": 1,
             "log_prob_micro_batch_size": 1,
             "train_files": version.train_file, "val_files": version.val_file}  # fmt: skip
    return TrainSpec(kind, asked | values)


def ran(
    version: Version, answer: float, cut: float = 0, *, model: str = SMALL, **fields: Any
) -> Job:
    asked = spec(version, model, fields.get("kind", "grpo"), **fields.pop("values", {}))
    given: dict[str, Any] = {
        "kind": "grpo", "spec": asked.to_json(), "dataset_version": version, "step": 3,
        "status": Status.COMPLETED, "gpus": 8,
    }  # fmt: skip
    job = factories.make_job(**given | fields)
    for name, value in ((PROMPT, 200.0), (ANSWER, answer), (CUT, cut)):
        factories.add_points(job, name, {1: value * 3, 2: value, 3: value})
    return job


def lengths(version: Version, box: Machine, **values: Any) -> Lengths:
    return services.question_on(spec(version, **values), services.cards_of(box)).lengths


def assumed(box: Machine, version: Version) -> bool:
    return lengths(version, box) == Lengths(256, 512, 512, 1024, "assumed")


def test_the_newest_run_on_the_data_tells(version: Version, box: Machine) -> None:
    assert assumed(box, version)
    ran(version, 500)
    ran(version, 312)
    assert lengths(version, box) == Lengths(200, 512, 312, 1024, "runs", SAID)


def test_prompts_that_a_check_counted_go_before_those_of_a_run(
    version: Version, box: Machine
) -> None:
    counted = {"lengths": {"counted": 10, "mean": 123.5, "max": 300}}
    version.reports.create(model="m", state=State.DONE, data=counted)
    ran(version, 312)
    found = lengths(version, box)
    assert (found.prompt, found.answer, found.source) == (123.5, 312, "runs")


def test_another_version_of_the_data_set_and_a_larger_model_tell(
    version: Version, box: Machine
) -> None:
    ran(factories.make_version("/later.parquet", version.dataset, target="rl"), 312, model=LARGE)
    assert lengths(version, box).answer == 312


@pytest.mark.parametrize(
    "fields",
    [
        {"model": OTHER}, {"kind": "gspo"}, {"status": Status.RUNNING}, {"step": 1},
        {"dataset_version": None}, {"model": "/gone"}, {"model": LARGE, "gpus": 0},
    ],
)  # fmt: skip
def test_other_runs_do_not_tell(version: Version, box: Machine, fields: dict[str, Any]) -> None:
    ran(version, 312, **fields)
    assert assumed(box, version)


def test_a_run_of_the_same_model_goes_before_a_newer_one_of_its_family(
    version: Version, box: Machine
) -> None:
    ran(version, 312)
    ran(version, 700, model=LARGE)
    assert lengths(version, box).answer == 312
    assert lengths(version, box, model=LARGE).answer == 700


def test_a_model_that_is_asked_of_in_its_place_learns_nothing_from_runs_of_its_own(
    version: Version, box: Machine
) -> None:
    ran(version, 312)
    ran(version, 312, model="")
    cards, asked = services.cards_of(box), spec(version)

    def source(name: str) -> str:
        return services.question_on(asked, cards, facts_of(name)).lengths.source

    assert [source(name) for name in (OTHER, LARGE)] == ["assumed", "runs"]


def test_a_run_that_measured_nothing_is_passed_over(version: Version, box: Machine) -> None:
    job = ran(version, 312)
    ran(version, float("nan"))
    factories.make_job(kind="grpo", spec=job.spec, dataset_version=version, step=3,
                       status=Status.FAILED)  # fmt: skip
    assert lengths(version, box).answer == 312


@pytest.mark.parametrize("cut", [0.4, float("nan")])
def test_answers_that_may_have_been_cut_tell_nothing_of_longer_ones(
    version: Version, box: Machine, cut: float
) -> None:
    ran(version, 700)
    ran(version, 200, cut=cut, values={"max_response_length": 256})
    assert lengths(version, box).answer == 700
    assert lengths(version, box, max_response_length=256).answer == 200


def test_a_shorter_limit_holds(version: Version, box: Machine) -> None:
    ran(version, 312)
    assert lengths(version, box, max_response_length=100).answer == 100


def test_rows_of_sft_are_not_answers(version: Version, box: Machine) -> None:
    ran(version, 312)
    asked = spec(version, kind="sft", max_length=1024)
    assert services.question_on(asked, services.cards_of(box)).lengths.source == "assumed"


def test_what_a_run_measured_was_not_known_before_it(version: Version, box: Machine) -> None:
    ran(version, 500, machine=box)
    job = ran(version, 312, machine=box)
    factories.add_points(job, "timing_s/step", {1: 9.0, 2: 7.0, 3: 7.0})
    kept = keeping.keep(job)
    assert kept
    before = services.estimate_of(spec(version), box)
    assert before.told == SAID
    job.delete()
    assert kept.estimated_seconds == pytest.approx(_seconds(version, box), rel=1e-6)
    assert services.estimate_of(spec(version), box).told == SAID.replace("312", "500")


def _seconds(version: Version, box: Machine) -> float:
    found = services.estimate_of(spec(version), box)
    assert found.time
    return found.time.seconds - found.time.phases.get("save", 0)


def test_the_badge_the_command_and_the_plan_say_so(
    page: Client, user: User, other: User, version: Version, box: Machine, capsys: Any
) -> None:
    """Of whomever's run it is: its number, which not everybody may see, is told to nobody."""
    run, said = ran(version, 312, owner=other, pk=987654), SAID
    fit = fit_of(spec(version), box)
    assert fit.title == f"An estimate. {said}"
    job = factories.make_job(user, kind="grpo", machine=box, gpus=8, spec=spec(version).to_json())
    assert said in page.get("/jobs/fits/", {"job": [job.pk]}).content.decode()
    capsys.readouterr()
    call_command("estimate", "--job", str(job.pk), "--json")
    told = json.loads(capsys.readouterr().out)
    assert f'<span id="fit-{job.pk}">' in page.get(job.get_absolute_url()).content.decode()
    plan = planning.plan(asking.ask(spec(version), box, "fastest"))
    assert said in plan_report.as_text(plan_report.as_json(plan))
    context = {"plan": plan, "offers": list(offers(plan, ())), "recipe": all_recipes()["grpo"]}
    shown = render_to_string("jobs/plan/plan.html", context)
    assert said in shown
    assert str(run.pk) not in shown + json.dumps(told) + fit.title
    assert (told["lengths"], told["lengths_told"]) == ("runs", said)
    assert said in [one["message"] for one in told["warnings"]]


def test_many_jobs_take_as_many_queries_as_one(
    page: Client, user: User, version: Version, box: Machine
) -> None:
    for answer in (100, 200, 300, 400):
        ran(version, answer)
    jobs = [
        factories.make_job(user, kind="grpo", machine=box, gpus=8, spec=asked.to_json())
        for asked in (spec(version, lr=rate, max_response_length=rate_length)
                      for rate, rate_length in ((1e-5, 512), (2e-5, 1024), (3e-5, 2048)))
    ]  # fmt: skip
    urls = [f"/jobs/fits/?job={'&job='.join(str(job.pk) for job in jobs[:n])}" for n in (1, 3)]
    assert [page.get(url).content.decode().count("Answers of an earlier run") for url in urls] == [
        1,
        3,
    ]
    assert queries(page, urls[0]) == queries(page, urls[1])
