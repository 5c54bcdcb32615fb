"""``manage.py estimate`` and ``gpus``: what they print, and what they refuse by its argument."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.core.management.base import CommandError
from django.utils import timezone

from compute.models import Machine
from compute.prices import table
from compute.sizing.gpus import catalogue
from compute.sizing.written import as_json
from jobs.fit import services
from jobs.fit.badge import fit_of
from jobs.models import Job, Outcome
from platform_site.commands import problems_of
from platform_site.work.models import State
from tests import factories
from tests.compute.sizing import configs

pytestmark = pytest.mark.django_db
H100 = "NVIDIA H100 80GB HBM3"
ON_EIGHT = ("--gpu", "h100-80g", "--gpus", "8")


def estimate(capsys: Any, *arguments: str) -> dict[str, Any]:
    capsys.readouterr()
    call_command("estimate", *arguments, "--json")
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def refused(*arguments: str) -> tuple[str, str]:
    with pytest.raises(CommandError) as error:
        call_command("estimate", *arguments, "--json")
    problem = problems_of(error.value)[0]
    return problem["field"], problem["message"]


def test_a_job_of_a_bare_algorithm(capsys: Any) -> None:
    found = estimate(
        capsys, "--model", "qwen3-8b", "--algorithm", "grpo", *ON_EIGHT,
        "--set", "steps=100", "--price", "2.5",
    )  # fmt: skip
    assert found["fits"] is True
    assert found["model"]["parameters"] == 8_190_735_360
    assert found["band"][0] <= found["peak_bytes"] <= found["band"][1]
    assert {"update", "rollout", "log_prob"} <= set(found["phases"])
    for phase in found["phases"].values():
        if phase["peak_bytes"] is not None:
            assert phase["peak_bytes"] == sum(phase["categories"].values())
    assert found["cost"] == pytest.approx(found["total_seconds"] / 3600 * 2.5 * 8)
    assert found["total_seconds"] == pytest.approx(100 * found["seconds_per_step"])


def test_verls_own_keys_change_it(capsys: Any) -> None:
    asked = ("--model", "qwen2.5-7b", "--algorithm", "sft", *ON_EIGHT)
    plain = estimate(capsys, *asked)
    split = estimate(capsys, *asked, "--set", "engine.fsdp_size=4")
    short = estimate(capsys, *asked, "--set", "data.max_length=256")
    assert split["peak_bytes"] > plain["peak_bytes"]
    assert short["seconds_per_step"] < plain["seconds_per_step"]


def test_a_recipe_and_a_config(tmp_path: Path, staff: Any, capsys: Any) -> None:
    file = tmp_path / "config.json"
    file.write_text(json.dumps(configs.QWEN_25_HALF_B))
    for place in (tmp_path, file):
        found = estimate(capsys, "--recipe", "sft", "--model", str(place), "--gpu", "l4")
        assert (found["algorithm"], found["model"]["parameters"]) == ("sft", 494_032_768)


def test_an_unknown_architecture_is_said_to_be_estimated(tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "config.json").write_text(json.dumps(configs.OPT_125M))
    found = estimate(capsys, "--model", str(tmp_path), "--algorithm", "sft", "--gpu", "l4")
    assert found["warnings"][0]["field"] == "model"
    assert "generic estimate" in found["warnings"][0]["message"]
    assert "kv_heads" in found["model"]["assumed"]


@pytest.mark.parametrize(
    ("arguments", "field", "said"),
    [
        (("--gpus", "0"), "gpus", "from 1 to"),
        (("--price", "-1"), "price", "0 or more"),
        (("--gpu", "voodoo"), "gpu", "no GPU called"),
        (("--model", "No/Such"), "model", "config.json"),
        (("--set", "max_prompt_length=1000000000"), "max_prompt_length", "whole number from 1"),
        (("--set", "lora_rank=-1"), "lora_rank", "from 0"),
        (("--set", "micro_batch_size=many"), "micro_batch_size", "whole number"),
        (("--set", "rollout.no_such=1"), "set", "no key"),
        (("--set", "steps"), "set", "write key=value"),
        (("--set", "lora_rank=9999"), "lora_rank", "from 0 to"),
        (("--per-node", "0"), "per_node", "from 1 to"),
        (("--machine", "nowhere"), "machine", "and not both"),
        (
            ("--set", "actor_rollout_ref.rollout.tensor_model_parallel_size=3"),
            "tensor_parallel", "does not divide",
        ),
        (("--job", "7"), "job", "no job 7"),
        (("--data", "nothing"), "data", "no data set nothing"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_named(arguments: tuple[str, ...], field: str, said: str) -> None:
    asked = ("--model", "qwen3-8b", "--algorithm", "grpo", *ON_EIGHT)
    found = refused(*asked, *arguments)
    assert found[0] == field
    assert said in found[1]
    with pytest.raises(CommandError, match=f"^--(set )?{field.replace('_', '-?_?')}: .*{said}"):
        call_command("estimate", *asked, *arguments)


def test_nothing_to_estimate_is_said() -> None:
    assert refused("--model", "qwen3-8b", *ON_EIGHT)[0] == "algorithm"
    assert refused("--model", "qwen3-8b", "--algorithm", "sft")[0] == "gpu"
    assert refused("--algorithm", "sft", *ON_EIGHT)[0] == "model"


def test_a_config_that_describes_no_model_is_refused(tmp_path: Path) -> None:
    broken = {key: value for key, value in configs.QWEN_25_HALF_B.items() if key != "hidden_size"}
    (tmp_path / "config.json").write_text(json.dumps(broken))
    asked = ("--model", str(tmp_path), "--algorithm", "sft", *ON_EIGHT)
    field, said = refused(*asked)
    assert field == "model"
    assert "has no hidden_size" in said


def test_an_adapter_that_is_wider_than_the_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(configs.QWEN_25_HALF_B))
    asked = ("--model", str(tmp_path), "--algorithm", "sft", *ON_EIGHT, "--set", "lora_rank=1000")
    field, said = refused(*asked)
    assert field == "lora_rank"
    assert "896" in said


@pytest.fixture
def box() -> Machine:
    machine = factories.make_ssh_machine(name="box")
    gpus = [{"index": at, "name": H100, "memory_total": 79 << 30} for at in range(4)]
    machine.samples.create(at=timezone.now(), data={"gpus": gpus, "memory_total": 1 << 40})
    table.keep(machine, Decimal(10))
    return machine


@pytest.fixture
def job(box: Machine, user: User) -> Job:
    version = factories.make_version(target="rl")
    counted = {"lengths": {"counted": 10, "mean": 321.5, "max": 900}}
    version.reports.create(model="m", state=State.DONE, data=counted)
    return factories.make_job(
        user, kind="grpo", machine=box, dataset_version=version,
        spec=factories.grpo_spec(
            model_path="qwen2.5-7b", gpus=4, device="cuda", steps=50, max_prompt_length=1024,
            train_files=version.train_file, val_files=version.val_file,
        ).to_json(),
    )  # fmt: skip


def test_a_job_has_the_figures_of_its_badge(job: Job, box: Machine, capsys: Any) -> None:
    fit = fit_of(job.spec_of_kind, box)
    assert fit.ledger
    badge = fit.ledger.estimate
    assert badge.time

    found = estimate(capsys, "--job", str(job.pk))

    assert (found["gpu"], found["gpus"], found["gpu_bytes"]) == ("h100-80g", 4, 79 << 30)
    assert (found["peak_bytes"], found["fits"]) == (badge.memory.peak, badge.fits)
    assert found["band"] == list(badge.memory.band)
    assert found["seconds_per_step"] == badge.time.seconds
    assert found["cost"] == badge.cost == pytest.approx(found["total_seconds"] / 3600 * 10)
    assert [one["message"] for one in found["warnings"]] == [one.message for one in badge.remarks]
    assert estimate(capsys, "--job", str(job.pk), "--machine", "box") == found


def test_a_job_learns_from_the_runs_that_its_badge_learns_from(
    job: Job, box: Machine, user: User, capsys: Any
) -> None:
    before = estimate(capsys, "--job", str(job.pk))
    spec = job.spec_of_kind
    question = services.question_on(spec, services.cards_of(box))
    seconds = before["seconds_per_step"]
    Outcome.objects.create(
        job=factories.make_job(user, machine=box), gpu="h100-80g", gpus=4, family="qwen2",
        algorithm="grpo", question=as_json(question), estimated_peak=1, estimated_seconds=seconds,
        measured_seconds=2 * seconds,
    )  # fmt: skip

    found = estimate(capsys, "--job", str(job.pk))

    fit = fit_of(spec, box)
    assert fit.ledger
    assert fit.ledger.estimate.time
    assert found["seconds_per_step"] == fit.ledger.estimate.time.seconds
    assert found["seconds_per_step"] > 1.5 * seconds


def test_the_lengths_of_data_count(job: Job, capsys: Any) -> None:
    version = job.dataset_version
    assert version
    asked = ("--model", "qwen2.5-7b", "--algorithm", "grpo", *ON_EIGHT)
    plain = estimate(capsys, *asked, "--set", "max_prompt_length=1024")
    found = estimate(
        capsys, *asked, "--set", "max_prompt_length=1024", "--data", str(version.dataset.name)
    )
    # 512 tokens of a prompt are assumed, and 321.5 were counted.
    assert found["seconds_per_step"] < plain["seconds_per_step"]
    again = estimate(capsys, "--job", str(job.pk), *ON_EIGHT)
    named = f"{version.dataset.name}@{version.number}"
    assert estimate(capsys, "--job", str(job.pk), *ON_EIGHT, "--data", named) == again


def test_the_shape_of_what_programs_read(job: Job, capsys: Any) -> None:
    found = estimate(capsys, "--job", str(job.pk), "--set", "use_kl_loss=true")
    number = (int, float)
    shape: dict[str, Any] = {
        "peak_bytes": int, "fits": bool, "band": list, "phases": dict, "host_bytes": int,
        "checkpoint_bytes": int, "seconds_per_step": number, "tokens_per_second": number,
        "cost": number, "warnings": list,
    }  # fmt: skip
    for name, kind in shape.items():
        assert isinstance(found[name], kind), name
    assert len(found["band"]) == 2
    assert {"update", "rollout", "ref"} <= set(found["phases"])
    for phase in ("update", "rollout", "ref"):
        told = found["phases"][phase]
        assert set(told) == {"peak_bytes", "categories", "seconds"}
        assert sum(told["categories"].values()) == told["peak_bytes"]
        assert told["seconds"] > 0


def test_a_machine_tells_its_gpus_memory_and_price(box: Machine, capsys: Any) -> None:
    asked = ("--model", "qwen2.5-7b", "--algorithm", "sft", "--set", "steps=10")
    found = estimate(capsys, *asked, "--machine", "box")
    assert (found["gpu"], found["gpus"], found["gpu_bytes"]) == ("h100-80g", 4, 79 << 30)
    assert found["cost"] == pytest.approx(found["total_seconds"] / 3600 * 10)
    two = estimate(capsys, *asked, "--machine", "box", "--gpus", "2", "--price", "1")
    assert (two["gpus"], two["cost"]) == (2, pytest.approx(two["total_seconds"] / 3600 * 2))


@pytest.mark.parametrize(
    ("arguments", "field", "said"),
    [
        (("--machine", "box", "--gpu", "l4"), "machine", "and not both"),
        (("--machine", "nowhere"), "machine", "no machine nowhere"),
        (("--machine", "bare"), "machine", "no GPU that is known"),
        (("--machine", "box", "--gpus", "5"), "gpus", "box has 4 GPUs, and 5 are asked for"),
        (("--machine", "box", "--per-node", "2"), "per_node", "tells by itself"),
    ],
)
def test_a_machine_that_cannot_tell_is_refused(
    box: Machine, arguments: tuple[str, ...], field: str, said: str
) -> None:
    factories.make_ssh_machine(name="bare")
    found = refused("--model", "qwen2.5-7b", "--algorithm", "sft", *arguments)
    assert found[0] == field
    assert said in found[1]


def test_the_cards_of_a_machine_are_listed_as_they_were_measured(box: Machine, capsys: Any) -> None:
    call_command("gpus", "--machine", "box", "--json")
    [found] = json.loads(capsys.readouterr().out)
    told = (found["slug"], found["memory"], found["count"], found["per_hour"])
    assert told == ("h100-80g", 79 << 30, 4, 2.5)
    call_command("gpus", "--machine", "box")
    shown = capsys.readouterr().out
    assert "4 x NVIDIA H100" in shown
    assert "price/h each" in shown


def test_people_read_a_table(capsys: Any) -> None:
    call_command("estimate", "--model", "qwen3-8b", "--algorithm", "grpo", *ON_EIGHT)
    text = capsys.readouterr().out
    assert "8,190,735,360 parameters" in text
    assert "It fits 8 x h100-80g" in text
    assert "\nrollout " in text


def test_the_cards_are_listed_with_their_prices(capsys: Any) -> None:
    table.keep("h100-80g", Decimal("2.50"))
    call_command("gpus", "--json")
    found = {one["slug"]: one for one in json.loads(capsys.readouterr().out)}
    assert set(found) == set(catalogue())
    assert found["h100-80g"]["per_hour"] == 2.5
    assert found["l4"]["per_hour"] is None
    call_command("gpus", "--maker", "huawei")
    assert len(capsys.readouterr().out.splitlines()) == 1 + 4


def test_an_estimate_that_fails_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Any:
        raise ZeroDivisionError("a formula that nobody tried so")

    monkeypatch.setattr("jobs.fit.management.commands.estimate.estimate", broken)
    said = "The estimate failed. The log says why."
    asked = ("--model", "qwen3-8b", "--algorithm", "sft", *ON_EIGHT)
    assert refused(*asked) == ("", said)
    with pytest.raises(CommandError, match=f"^{said}$"):
        call_command("estimate", *asked)
