"""Estimates of jobs, from what is known of the model, the machine and the data."""

import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from compute import glance
from compute.models import Machine
from compute.prices import table
from compute.sizing.gpus import catalogue
from compute.sizing.question import Lengths
from jobs.fit import services, sources
from jobs.fit.data import Data
from jobs.fit.services import Cards, NotKnown, QuestionError
from jobs.verl.spec import TrainSpec
from platform_site.work.models import State
from tests import factories
from tests.compute.sizing import configs

pytestmark = pytest.mark.django_db
H100 = "NVIDIA H100 80GB HBM3"
CARDS = Cards(catalogue()["h100-80g"], 8, 8)


@pytest.fixture
def model(home: Path) -> str:
    folder = home / "qwen"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(configs.QWEN_25_HALF_B))
    return str(folder)


def spec(model: str, **values: Any) -> TrainSpec:
    asked: dict[str, Any] = {"model_path": model, "train_batch_size": 64, "micro_batch_size": 4,
             "max_length": 2048, "gpus": 8, "device": "cuda", "steps": 100}  # fmt: skip
    return TrainSpec("sft", {**asked, **values})


def machine_with(*names: str, **sample: Any) -> Machine:
    box = factories.make_ssh_machine()
    gpus = [{"index": at, "name": name, "memory_total": 79 << 30} for at, name in enumerate(names)]
    box.samples.create(at=timezone.now(), data={"gpus": gpus, **sample})
    return box


def test_a_job_on_the_cards_of_a_machine(model: str) -> None:
    box = machine_with(*[H100] * 8, memory_total=512 << 30)

    found = services.estimate_of(spec(model), box)

    assert found.fits is True
    assert 0 < found.memory.peak < 79 << 30
    assert found.time
    assert found.total_seconds == 100 * found.time.seconds
    assert found.cost is None  # nobody wrote a price down


def test_the_memory_that_was_measured_counts(model: str) -> None:
    cards = sources.cards_of(machine_with(H100, H100, memory_total=512 << 30))

    assert cards.gpu.memory == 79 << 30
    assert (cards.gpu.slug, cards.per_node, cards.count) == ("h100-80g", 2, 2)
    assert cards.host_memory == 512 << 30


def test_a_run_costs_its_hours_on_all_cards(model: str) -> None:
    table.keep("h100-80g", Decimal("2.50"))

    found = services.estimate_on(spec(model), CARDS)

    assert found.total_seconds
    assert found.cost == pytest.approx(found.total_seconds / 3600 * 2.5 * 8)


def test_the_price_of_a_machine_goes_before_that_of_its_cards() -> None:
    box = machine_with(H100, H100)
    table.keep("h100-80g", Decimal("2.50"))
    table.keep(box, Decimal("3"))

    assert services.price_of(CARDS.gpu, box, 2) == 1.5
    assert services.price_of(CARDS.gpu) == 2.5
    assert services.price_of(catalogue()["l4"]) is None


def test_a_gpu_of_a_group_costs_the_same_in_an_estimate_and_at_a_glance(model: str) -> None:
    first, second = machine_with(H100, H100), machine_with(H100, H100)
    group = factories.make_group(first, second)
    table.keep(first, Decimal("3"))
    assert services.price_of(CARDS.gpu, group, 4) is None  # nobody wrote down the second's

    table.keep("h100-80g", Decimal("2.50"))

    [now] = glance.glances_of(glance.with_load(Machine.objects.filter(pk=group.pk)), None)
    assert now.per_hour == 3 + 2 * 2.5
    assert services.price_of(CARDS.gpu, group, 4) == now.per_hour / 4
    found = services.estimate_of(spec(model, gpus=4), group)
    assert found.total_seconds
    assert found.cost == pytest.approx(found.total_seconds / 3600 * 8)


@pytest.mark.parametrize(
    ("names", "said"),
    [((), "has no GPU that is known"), (("Voodoo 2",), "no GPU called 'Voodoo 2'")],
)
def test_cards_that_nobody_knows_are_not_guessed(names: tuple[str, ...], said: str) -> None:
    with pytest.raises(NotKnown, match=said) as told:
        sources.cards_of(machine_with(*names))
    assert told.value.field == "machine"


def test_cards_that_were_only_counted_are_not_guessed() -> None:
    with pytest.raises(NotKnown, match="Nobody has looked which cards"):
        sources.cards_of(factories.make_ssh_machine(gpus=4))


def test_a_model_that_is_not_here_is_not_guessed(model: str, home: Path) -> None:
    for name, said in (("", "No model"), ("Qwen/No-Such", "cache"), (f"{home}/no", "not here")):
        with pytest.raises(NotKnown, match=said) as told:
            services.estimate_on(spec(name), CARDS)
        assert told.value.field == "model_path"


def test_a_model_of_the_catalogue_needs_no_files() -> None:
    for name in ("Qwen/Qwen2.5-7B-Instruct", "qwen2.5-7b"):
        assert sources.facts_of(name).hidden == 3584


def test_a_model_that_is_here_goes_before_one_of_the_catalogue(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = home / "hub/models--Qwen--Qwen2.5-7B-Instruct/snapshots/1"
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text(json.dumps(configs.QWEN_25_HALF_B))
    refs = snapshot.parents[1] / "refs"
    refs.mkdir()
    (refs / "main").write_text("1")
    monkeypatch.setenv("HF_HUB_CACHE", str(home / "hub"))

    assert sources.facts_of("Qwen/Qwen2.5-7B-Instruct").hidden == 896


def test_a_config_that_describes_no_model_is_said_by_its_key(model: str) -> None:
    broken = {key: value for key, value in configs.QWEN_25_HALF_B.items() if key != "hidden_size"}
    Path(model, "config.json").write_text(json.dumps(broken))

    with pytest.raises(NotKnown, match="has no hidden_size"):
        services.estimate_on(spec(model), CARDS)


def test_a_run_on_the_cpu_has_no_estimate(model: str) -> None:
    with pytest.raises(NotKnown, match="on the CPU"):
        services.estimate_of(spec(model, device="cpu"), machine_with(H100))


def test_what_cannot_be_is_refused_at_its_field(model: str) -> None:
    with pytest.raises(QuestionError) as refused:
        services.estimate_on(spec(model, lora_rank=9999), CARDS)
    assert refused.value.field == "lora_rank"


def test_the_lengths_come_from_a_check_of_the_data(model: str) -> None:
    version = factories.make_version()
    files = {"train_files": version.train_file, "val_files": version.val_file}
    asked = spec(model, **files)
    assert Data([asked]).lengths(asked) is None

    counted = {"lengths": {"counted": 10, "mean": 321.5, "max": 900}}
    version.reports.create(model=model, state=State.DONE, data=counted)

    assert Data([asked]).lengths(asked) == Lengths(321.5, 900, 0, 0, "data")
    assert services.question_on(asked, CARDS).lengths.prompt == 321.5


def test_a_check_of_prompts_tells_nothing_of_answers(model: str) -> None:
    """The mean answer is the assumption, whoever sets the longest, and the band says so."""
    version = factories.make_version(target="rl")
    counted = {"lengths": {"counted": 10, "mean": 100, "max": 300}}
    version.reports.create(model=model, state=State.DONE, data=counted)
    files = {"train_files": version.train_file, "val_files": version.val_file}
    values: dict[str, Any] = {**files, "model_path": model, "gpus": 8, "micro_batch_size": 1,
              "log_prob_micro_batch_size": 1, "max_prompt_length": 512}  # fmt: skip

    unset = services.question_on(TrainSpec("grpo", values), CARDS).lengths
    freely = TrainSpec("grpo", values, ("data.max_response_length=4096",))

    assert unset == Lengths(100, 512, 256, 512, "assumed")
    assert services.question_on(freely, CARDS).lengths == Lengths(100, 512, 2048, 4096, "assumed")


def test_cards_of_several_kinds_are_not_guessed() -> None:
    with pytest.raises(NotKnown, match="which of them a job gets is not known"):
        sources.cards_of(machine_with(H100, "NVIDIA GeForce RTX 3090"))


@pytest.mark.parametrize(("share", "verdict"), [(2.0, True), (1.0, None), (0.5, False)])
def test_the_hosts_memory_is_judged_as_roughly_as_it_is_known(
    model: str, share: float, verdict: bool | None
) -> None:
    needed = services.estimate_on(spec(model), CARDS).memory.host
    cards = replace(CARDS, host_memory=int(share * needed))

    assert services.estimate_on(spec(model), cards).fits is verdict
