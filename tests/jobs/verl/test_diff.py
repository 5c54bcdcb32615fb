from pathlib import Path
from typing import Any

from jobs.process import Setting
from jobs.verl.diff import IMPORTANT, Cell, Row, Run, compare, ordered, run_of
from jobs.verl.knobs import BY_NAME, KNOBS
from jobs.verl.spec import TrainSpec
from tests.factories import grpo_spec, sft_spec

SCHEMAS = Path(__file__).resolve().parents[3] / "environments"


def rows(*specs: TrainSpec) -> dict[str, Row]:
    return {row.name: row for row in compare([run_of(spec, (), SCHEMAS) for spec in specs])}


def different(*specs: TrainSpec) -> list[str]:
    return [name for name, row in rows(*specs).items() if row.differs]


def test_a_run_does_not_differ_from_itself() -> None:
    assert different(sft_spec(), sft_spec()) == []


def test_the_important_ones_come_first() -> None:
    changed = sft_spec(
        "optim.betas=[0.9,0.95]", epochs=9, model_path="/m", train_files="/t", max_length=1,
        train_batch_size=1, lr=0.5,
    )  # fmt: skip
    assert different(sft_spec(), changed) == [
        "lr", "train_batch_size", "max_length", "train_files", "model_path", "epochs",
        "optim.betas",
    ]  # fmt: skip


def test_every_important_name_is_a_knob() -> None:
    assert set(IMPORTANT) <= set(BY_NAME)


def test_every_knob_of_the_kinds_is_there_once() -> None:
    names = [knob.name for knob in ordered(["sft", "ppo"])]
    assert sorted(names) == sorted(k.name for k in KNOBS if {"sft", "ppo"} & set(k.keys))


def test_both_values_with_label_key_and_unit() -> None:
    row = rows(sft_spec(train_batch_size=64), sft_spec(train_batch_size=32))["train_batch_size"]
    assert (row.label, row.key, row.unit) == ("Batch size", "data.train_batch_size", "rows")
    assert row.cells == (Cell("64", "set"), Cell("32", "set"))


def test_an_unset_knob_shows_verls_default() -> None:
    row = rows(sft_spec(), sft_spec(weight_decay=0.5))["weight_decay"]
    assert row.cells == (Cell("0.01", "default"), Cell("0.5", "set"))
    assert row.differs


def test_setting_what_verl_takes_anyway_makes_no_difference() -> None:
    assert "weight_decay" not in different(sft_spec(), sft_spec(weight_decay=0.01))
    assert "lora_rank" not in different(sft_spec(), sft_spec(lora_rank=0))


def test_one_and_true_are_not_the_same() -> None:
    given: list[tuple[Any, Any]] = [(True, 1), (1, 1.0)]
    found = [compare([Run(sft_spec(gradient_checkpointing=v)) for v in pair]) for pair in given]
    differs = [r.differs for rs in found for r in rs if r.name == "gradient_checkpointing"]
    assert differs == [True, False]


def test_what_the_method_or_the_platform_sets_is_shown_as_theirs() -> None:
    settings = [
        Setting("actor_rollout_ref.actor.use_kl_loss", "a=1", "recipe"),
        Setting(
            "actor_rollout_ref.actor.use_kl_loss",
            "actor_rollout_ref.actor.use_kl_loss=false",
            "method",
        ),
        Setting("data.use_dynamic_bsz", "data.use_dynamic_bsz=false", "platform"),
    ]
    run = run_of(grpo_spec(), settings, SCHEMAS)
    plain = run_of(grpo_spec(use_kl_loss=True), settings, SCHEMAS)
    row = {r.name: r for r in compare([run, plain])}["use_kl_loss"]
    assert row.cells == (Cell("false", "method"), Cell("true", "set"))
    assert row.differs


def test_runs_of_two_kinds() -> None:
    found = rows(sft_spec(), grpo_spec())
    assert found["rollout_n"].cells == (Cell("", "absent"), Cell("8", "set"))
    assert found["rollout_n"].differs
    assert found["top_p"].cells == (Cell("", "absent"), Cell("1", "default"))
    assert not found["top_p"].differs  # what nobody set is no difference between kinds
    assert found["lr"].key == "optim.lr · actor_rollout_ref.actor.optim.lr"


def test_free_overrides_by_key() -> None:
    one = sft_spec("data.num_workers=3", "+data.x='a b'", "data.num_workers=4")
    two = sft_spec("data.num_workers=4", "~data.y", "not an override")
    found = rows(one, two)
    assert found["data.num_workers"].cells == (Cell("4", "set"), Cell("4", "set"))
    assert found["data.x"].cells == (Cell("'a b'", "set"), Cell("", "absent"))
    assert found["data.y"].cells == (Cell("", "absent"), Cell("removed", "set"))
    assert found["not an override"].differs
    assert [row.name for row in compare([Run(one), Run(two)])][-4:] == [
        "data.num_workers", "data.x", "data.y", "not an override",
    ]  # fmt: skip


def test_a_list_is_compared_by_its_members() -> None:
    found = rows(sft_spec(save_contents="model,optimizer,extra"), sft_spec())
    assert found["save_contents"].cells[0] == Cell("model, optimizer, extra", "set")
    assert not found["save_contents"].differs


def test_a_release_without_a_dump_says_nothing_of_its_defaults() -> None:
    old = TrainSpec("sft", sft_spec().values, (), "0.1.0")
    assert rows(old, sft_spec())["weight_decay"].cells[0] == Cell("", "default")


def test_an_older_releases_default_is_found_under_its_own_name() -> None:
    spec = TrainSpec("grpo", grpo_spec().values, (), "0.7.1")
    row = rows(spec, grpo_spec())["reward_file"]
    assert row.cells == (Cell("none", "default"), Cell("none", "default"))


def test_three_runs() -> None:
    row = rows(sft_spec(lr=0.1), sft_spec(lr=0.2), sft_spec(lr=0.1))["lr"]
    assert [cell.text for cell in row.cells] == ["0.1", "0.2", "0.1"]
    assert row.differs


def test_a_method_that_is_not_named_is_grpo_itself() -> None:
    found = rows(grpo_spec(), grpo_spec(variant="grpo"), grpo_spec(variant="dapo"))
    assert found["variant"].cells == (
        Cell("grpo", "unset"),
        Cell("grpo", "set"),
        Cell("dapo", "set"),
    )
    assert "variant" not in different(grpo_spec(), grpo_spec(variant="grpo"))
    assert rows(sft_spec(), sft_spec(loggers="wandb"))["loggers"].cells == (
        Cell("", "unset"),
        Cell("wandb", "set"),
    )
