"""``manage.py plan``: for people, for programs, and for a draft."""

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
from compute.sizing.models import find_model
from jobs.models import Job, Status
from platform_site.commands import FieldError
from tests import factories
from tests.compute.sizing import configs


@pytest.fixture(autouse=True)
def administrator(db: None) -> User:
    return factories.make_user("admin", is_superuser=True, is_staff=True)


def plan(capsys: Any, *arguments: str, recipe: str = "grpo") -> dict[str, Any]:
    capsys.readouterr()
    call_command("plan", recipe, *arguments, "--json")
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_what_it_finds(model: str, capsys: Any) -> None:
    found = plan(capsys, "--set", f"model_path={model}", "--gpu", "h100-80g", "--gpus", "8")

    assert (found["fits"], found["gpu"], found["gpus"]) == (True, "h100-80g", 8)
    assert found["tried"] > 1000
    best = found["offers"][0]
    assert best["band"][0] <= best["peak_bytes"] <= best["band"][1] <= found["memory"]
    assert best["cost_per_step"] is None
    assert best["values"]["dynamic_batch"] is True
    reasons = [row["why"] for row in best["settings"] if row["why"]]
    assert len(reasons) >= 8


def test_for_people(model: str, capsys: Any) -> None:
    call_command("plan", "grpo", "--set", f"model_path={model}", "--gpu", "NVIDIA L4",
                 "--gpus", "1", "--goal", "safest")  # fmt: skip

    told = capsys.readouterr().out
    assert "The safest" in told
    assert "All figures are estimates." in told


def test_more_gpus_are_proposed_where_too_few_are_asked_for(model: str, capsys: Any) -> None:
    found = plan(
        capsys, "--set", f"model_path={model}", "--set", "max_response_length=60000",
        "--gpu", "t4", "--gpus", "1",
    )  # fmt: skip

    assert (found["fits"], found["offers"]) == (False, [])
    assert found["least_peak_bytes"] > found["memory"]
    assert any("answers of at most" in one["title"] for one in found["instead"])


def test_a_draft_has_the_settings(model: str, capsys: Any, samples: Path) -> None:
    folder = samples / "model"
    told = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**configs.QWEN_25_HALF_B, **told}))
    found = plan(
        capsys, "--set", f"model_path={folder}", "--set", "device=cuda", "--set", "engine=vllm",
        "--gpu", "l4", "--gpus", "1", "--draft", recipe="sample-grpo",
    )  # fmt: skip

    job = Job.objects.get(pk=found["draft"])
    assert job.status == Status.DRAFT
    values = job.spec["values"]
    for name in ("gpu_memory", "max_num_seqs"):
        assert values.get(name) == found["offers"][0]["values"].get(name)


@pytest.fixture
def box() -> Machine:
    machine = factories.make_ssh_machine(name="box")
    gpus = [{"index": at, "name": "NVIDIA L4", "memory_total": 22 << 30} for at in range(2)]
    machine.samples.create(at=timezone.now(), data={"gpus": gpus})
    table.keep(machine, Decimal(3))
    return machine


def test_a_machine_has_cards_of_its_own(model: str, box: Machine, capsys: Any) -> None:
    asked = ("--set", f"model_path={model}", "--machine", "box", "--gpus", "2")
    found = plan(capsys, *asked)
    assert (found["gpu"], found["gpus"], found["memory"]) == ("l4", 2, 22 << 30)
    best = found["offers"][0]
    assert best["cost_per_step"] == pytest.approx(best["seconds_per_step"] / 3600 * 3)


@pytest.mark.parametrize(
    ("arguments", "field", "said"),
    [
        (("--machine", "box", "--gpu", "l4"), "machine", "and not both"),
        (("--machine", "nowhere"), "machine", "no machine nowhere"),
        (("--machine", "bare"), "machine", "no GPU that is known"),
        (("--machine", "box", "--gpus", "3"), "gpus", "box has 2 GPUs, and 3 are asked for"),
    ],
)
def test_a_machine_that_cannot_tell_is_refused(
    model: str, box: Machine, arguments: tuple[str, ...], field: str, said: str
) -> None:
    factories.make_ssh_machine(name="bare")
    with pytest.raises(FieldError, match=said) as refused:
        call_command("plan", "grpo", "--set", f"model_path={model}", *arguments)
    assert refused.value.problems[0]["field"] == field


@pytest.mark.parametrize(
    ("arguments", "field", "said"),
    [
        (("--gpu", "h100-81g"), "gpu", "Did you mean"),
        (("--gpu", "l4", "--gpus", "0"), "gpus", "write a number from 1"),
        (("--gpu", "l4", "--set", "lora_rank=1000"), "lora_rank", "above the model's width"),
        ((), "gpu", "Choose a GPU"),
        (("--gpu", "l4", "--set", "model_path=/no"), "model_path", "not here"),
    ],
)  # fmt: skip
def test_bad_input_is_named(model: str, arguments: tuple[str, ...], field: str, said: str) -> None:
    with pytest.raises(FieldError, match=said) as refused:
        call_command("plan", "grpo", "--set", f"model_path={model}", *arguments)
    assert refused.value.problems[0]["field"] == field


def test_a_goal_that_there_is_not(model: str) -> None:
    with pytest.raises(CommandError, match="invalid choice"):
        call_command("plan", "grpo", "--goal", "nicest")


def test_the_other_way_round(model: str, capsys: Any) -> None:
    """How few GPUs, how long, how large: each applied to the job."""
    asked = ("--set", f"model_path={model}", "--gpu", "h100-80g", "--gpus", "8", "--goal")

    fewest = plan(capsys, *asked, "fewest")["offers"][0]
    assert fewest["values"]["gpus"] == fewest["gpus"] == 1
    longest = plan(capsys, *asked, "longest")["offers"][0]["values"]
    assert longest["max_response_length"] > 8192
    largest = plan(capsys, *asked, "largest")["offers"][0]["values"]
    assert find_model(largest["model_path"])


def test_an_override_that_beats_the_plan_is_told(model: str, capsys: Any) -> None:
    line = "actor_rollout_ref.actor.fsdp_config={param_offload: true}"
    asked = ("--set", f"model_path={model}", "--set", line, "--gpu", "h100-80g", "--gpus", "8")

    (said,) = plan(capsys, *asked)["offers"][0]["warnings"]

    assert said.startswith("The override of actor_rollout_ref.actor.fsdp_config beats the plan")
    call_command("plan", "grpo", *asked)
    assert f"Warning: {said}" in capsys.readouterr().out


def test_a_search_that_fails_is_told(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Any:
        raise ZeroDivisionError("a formula that nobody tried so")

    monkeypatch.setattr("jobs.verl.planning.plan", broken)
    with pytest.raises(CommandError, match=r"^The estimate failed\. The log says why\.$"):
        call_command("plan", "grpo", "--set", f"model_path={model}", "--gpu", "l4")
