from pathlib import Path

import pytest

from jobs.verl.overrides import parse
from jobs.verl.releases import ENVIRONMENTS
from jobs.verl.schema import Schema, fits, load, nearest

FOLDER = Path(__file__).resolve().parents[3] / "environments"

SMALL = Schema(
    "0.9.1",
    "small",
    {
        "optim.lr": {"default": 0.1, "type": "float"},
        "optim.steps": {"default": 5, "type": "int"},
        "optim.name": {"default": "adam", "type": "str"},
        "val.temperature": {"default": 0, "type": "int"},
        "data.shuffle": {"default": True, "type": "bool"},
        "data.files": {"default": [], "type": "list"},
        "data.seed": {"default": None, "type": "null"},
        "model.extra": {"default": {}, "type": "dict"},
    },
)


@pytest.mark.parametrize(
    "text",
    [
        "optim.lr=1e-5",
        "optim.lr=1",
        "optim.lr=null",
        "optim.lr=${optim.steps}",
        "optim.steps=3",
        "val.temperature=0.7",
        "optim.name=5",
        "data.shuffle=false",
        "data.files=[a,b]",
        "data.seed=7",
        "model.extra={a:1}",
        "+model.extra.attn=sdpa",
        "++model.extra.deep.er=1",
        "+optim.lr=1e-5",
        "~data.seed",
        "~optim",
        "optim={lr:1}",
    ],
)
def test_accepted(text: str) -> None:
    assert SMALL.problem(parse(text)) is None


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "optim.lrr=1",
            "verl 0.9.1 has no key optim.lrr. Nearest: optim.lr, optim.name, optim.steps.",
        ),
        ("lr=1", "verl 0.9.1 has no key lr. Nearest: optim.lr."),
        (
            "+optim.new=1",
            "verl 0.9.1 does not read optim.new. Nearest: optim.name, optim.lr, optim.steps.",
        ),
        (
            "~optim.new",
            "verl 0.9.1 has no key optim.new. Nearest: optim.name, optim.lr, optim.steps.",
        ),
        ("nothing.like_it=1", "verl 0.9.1 has no key nothing.like_it."),
        (
            "model.extra.attn=sdpa",
            "model.extra.attn is not in verl's defaults; write +model.extra.attn=… to add it.",
        ),
        ("optim.lr=fast", "optim.lr takes a number, not 'fast'."),
        ("optim.lr=true", "optim.lr takes a number, not True."),
        ("optim.steps=1.5", "optim.steps takes a whole number, not 1.5."),
        ("optim.steps=abc", "optim.steps takes a whole number, not 'abc'."),
        ("data.shuffle=1", "data.shuffle takes true or false, not 1."),
        ("data.files=a", "data.files takes a list such as [a,b], not 'a'."),
        ("model.extra=a", "model.extra takes a dictionary such as {a:1}, not 'a'."),
        ("optim=3", "optim takes a dictionary such as {a:1}, not 3."),
        ("+optim.lr=fast", "optim.lr takes a number, not 'fast'."),
    ],
)
def test_refused(text: str, problem: str) -> None:
    assert SMALL.problem(parse(text)) == problem


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("+reward.max_rpm=60", ""),
        ("+reward.timeout=1.5", ""),
        ("reward.max_rpm=60", "write +reward.max_rpm=…"),
        ("+reward.max_tpm=many", "takes a whole number"),
        ("+distillation.teacher_models.math.model_path=/m", ""),
        ("+distillation.teacher_models.math.inference.tensor_model_parallel_size=2", ""),
        ("+distillation.teacher_models.math.inference.tensor_model_parallel_size=x", "whole"),
        ("+distillation.teacher_models.math.model_pat=/m", "does not read"),
    ],
)
def test_what_verl_reads_though_it_lists_it_nowhere(text: str, problem: str) -> None:
    found = load(FOLDER, "grpo").problem(parse(text))
    assert (problem in str(found)) if problem else found is None


def test_nearest_names_the_same_last_word_first() -> None:
    known: dict[str, object] = {"actor.optim.lr": {}, "critic.optim.lr": {}, "actor.optim.lrs": {}}
    assert nearest("lr", known)[:2] == ["actor.optim.lr", "critic.optim.lr"]


@pytest.mark.parametrize(
    "key",
    ["critic.lr", "critic.optim.lrr", "actor_rollout_ref.actor.optim.lrr", "trainer.save_frq",
     "actor_rollout_ref.rollout.temprature"],
)  # fmt: skip
def test_nearest_stays_in_the_same_part(key: str) -> None:
    known = load(ENVIRONMENTS, "ppo").keys
    part = key.rpartition(".")[0]
    assert {name.startswith(f"{part}.") for name in nearest(key, known)} == {True}


def test_nearest_looks_elsewhere_where_its_part_has_nothing_like_it() -> None:
    known: dict[str, object] = {"trainer.save_freq": {}, "actor.optim.lr": {}}
    assert nearest("trainer.lr", known)[0] == "actor.optim.lr"


def test_nearest_stops_at_its_count() -> None:
    assert len(nearest("a.lr", {f"b{n}.lr": {} for n in range(9)})) == 3


@pytest.mark.parametrize(
    ("value", "wanted", "expected"),
    [
        (None, "int", True),
        (1, "null", True),
        (1, "str", True),
        (1, "float", True),
        (1.0, "int", False),
        (True, "int", False),
        ([], "list", True),
        ({}, "dict", True),
        ("${x}", "int", True),
    ],
)
def test_fits(value: object, wanted: str, expected: bool) -> None:
    assert fits(value, wanted) is expected


@pytest.mark.parametrize("release", ["0.7.1", "0.8.0", "0.9.1"])
@pytest.mark.parametrize("kind", ["sft", "ppo", "grpo", "gspo"])
def test_the_dump_of_each_kind_and_release_loads(kind: str, release: str) -> None:
    schema = load(FOLDER, kind, release)
    assert schema.config == ("sft_trainer_engine" if kind == "sft" else "ppo_trainer")
    assert schema.verl == release
    assert schema.keys["trainer.total_epochs"]["type"] == "int"


def test_dpo_is_of_the_newest_release_only() -> None:
    assert load(FOLDER, "dpo").keys["dpo.loss_type"]["default"] == "sigmoid"
    with pytest.raises(OSError, match=r"verl-0\.8"):
        load(FOLDER, "dpo", "0.8.0")


def test_without_a_release_it_is_the_newest() -> None:
    assert load(FOLDER, "sft") == load(FOLDER, "sft", "0.9.1")


def test_the_real_schema_names_the_right_learning_rate() -> None:
    problem = load(FOLDER, "grpo").problem(parse("actor.lr=1e-6"))
    assert problem is not None
    assert "actor_rollout_ref.actor.optim.lr" in problem
