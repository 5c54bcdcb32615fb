"""A training job cut down to its worst steps."""

from typing import Any

import pytest

from jobs.verl.batches import check_batches
from jobs.verl.command import build_command
from jobs.verl.contradictions import check_contradictions
from jobs.verl.recipes import all_recipes
from jobs.verl.worst import IGNORE_END, LEFT, left_out, not_tried, rows_of, worst
from tests.composed import PLACEMENT, PLACES
from tests.factories import spec_of

CHANGED = {
    "epochs", "steps", "save_freq", "test_freq", "loggers", "val_before_train", "critic_warmup",
    "filter_groups",
}  # fmt: skip


@pytest.mark.parametrize("recipe", all_recipes())
def test_every_recipe_keeps_its_model_its_batches_and_its_devices(recipe: str) -> None:
    asked = all_recipes()[recipe].spec(PLACES)
    found = worst(asked)
    differing = {
        name
        for name in {*asked.values, *found.values}
        if asked.values.get(name) != found.values.get(name)
    }
    assert differing <= CHANGED
    assert [*check_contradictions(found), *check_batches(found)] == []
    argv = build_command(found, PLACEMENT, {}).argv
    assert "trainer.total_training_steps=2" in argv
    assert "trainer.save_freq=2" in argv
    assert "trainer.test_freq=2" in argv
    assert "trainer.logger=[console,file]" in argv
    assert rows_of(found) == 2 * int(asked.values["train_batch_size"])


@pytest.mark.parametrize("verl", ["0.9.1", "0.8.0", "0.7.1"])
def test_answers_of_rl_run_to_their_full_length(verl: str) -> None:
    assert worst(spec_of("grpo", verl=verl)).overrides == (f"{IGNORE_END}=true",)
    assert worst(spec_of("sft", verl=verl)).overrides == ()


def test_that_sglang_is_not_told_so_is_said() -> None:
    assert any("SGLang" in said for said in not_tried(spec_of("grpo", engine="sglang")))
    assert not any("SGLang" in said for said in not_tried(spec_of("grpo", engine="vllm")))


def test_what_would_break_the_two_steps_is_left_out_and_said() -> None:
    given = [
        "data.train_max_samples=5", "trainer.default_local_dir=/elsewhere", f"{IGNORE_END}=false",
        "algorithm.filter_groups.enable=true", "trainer.val_only=true",
    ]  # fmt: skip
    own = "actor_rollout_ref.actor.entropy_coeff=0.1"
    asked = spec_of("grpo", *given, own, loggers="wandb")
    assert left_out(asked) == given
    assert worst(asked).overrides == (own, f"{IGNORE_END}=true")
    said = " ".join(not_tried(asked))
    assert all(text in said for text in given)
    assert "wandb" in said
    assert "Dropping groups" in said


def test_the_actor_learns_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    values: dict[str, Any] = worst(spec_of("ppo", critic_warmup=20)).values  # type: ignore[assignment]
    assert values["critic_warmup"] == 0
    assert "trainer.critic_warmup" in LEFT
