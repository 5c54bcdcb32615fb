"""A training job made small enough for a rehearsal."""

from typing import Any

import pytest

from jobs.verl.batches import check_batches
from jobs.verl.command import build_command
from jobs.verl.contradictions import check_contradictions
from jobs.verl.recipes import all_recipes
from jobs.verl.small import dropped, not_tried, rows_of, small
from jobs.verl.spec import TrainSpec
from tests.composed import PLACEMENT, PLACES
from tests.factories import spec_of

LARGE: dict[str, Any] = {
    "device": "cuda", "gpus": 8, "engine": "vllm", "tensor_parallel": 2, "gpu_memory": 0.6,
    "train_batch_size": 512, "mini_batch_size": 128, "micro_batch_size": 2, "rollout_n": 8,
    "max_prompt_length": 1024, "max_response_length": 4096, "param_offload": True,
    "sequence_parallel": 2, "remove_padding": True, "loggers": "wandb", "overlong_buffer": 512,
}  # fmt: skip


@pytest.mark.parametrize("recipe", all_recipes())
def test_every_recipe_becomes_a_command_that_a_cpu_can_run(recipe: str) -> None:
    asked = all_recipes()[recipe].spec(PLACES)
    found = small(asked)
    assert [*check_contradictions(found), *check_batches(found)] == []
    argv = build_command(found, PLACEMENT, {}).argv
    assert "trainer.device=cpu" in argv
    assert rows_of(found) <= 12


def test_what_a_cpu_has_not_is_left_out_and_the_rest_is_kept() -> None:
    found = small(spec_of("grpo", **LARGE, temperature=0.7, lr=3e-6, use_kl_loss=True)).values
    kept = {name: found[name] for name in ("temperature", "lr", "use_kl_loss", "max_prompt_length")}
    assert kept == {"temperature": 0.7, "lr": 3e-6, "use_kl_loss": True, "max_prompt_length": 1024}
    assert (found["device"], found["gpus"], found["engine"]) == ("cpu", 1, "hf")
    assert (found["train_batch_size"], found["mini_batch_size"], found["rollout_n"]) == (4, 2, 4)
    assert (found["max_response_length"], found["overlong_buffer"]) == (16, 16)
    assert not found.keys() & {"gpu_memory", "param_offload", "sequence_parallel", "loggers"}


def test_overrides_of_a_gpu_are_dropped_and_said() -> None:
    engine = "+actor_rollout_ref.rollout.engine_kwargs.vllm.max_model_len=4096"
    some, own = "data.train_max_samples=5", "data.shuffle=false"
    packing = "actor_rollout_ref.model.use_remove_padding=true"
    asked = spec_of("grpo", engine, some, own, packing, **LARGE)
    assert dropped(asked) == [engine, some, packing]
    assert small(asked).overrides == (own,)
    said = " ".join(not_tried(asked))
    assert engine in said
    assert "vllm: the answers were sampled by transformers." in said
    assert "cut at 16 tokens" in said


GROUPS = "algorithm.filter_groups"
DAPO = [all_recipes()[name].spec(PLACES) for name in ("dapo", "dapo-32b")]


@pytest.mark.parametrize(
    "asked",
    [
        *DAPO,
        spec_of("grpo", **LARGE, variant="dapo"),
        spec_of("gspo", **LARGE, filter_groups=True),
        spec_of("grpo", f"++{GROUPS}.enable=true", **LARGE),
        spec_of("grpo", f"{GROUPS}={{enable:true,metric:acc}}", **LARGE),
    ],
)
def test_no_group_is_sampled_anew_since_random_weights_score_alike(asked: TrainSpec) -> None:
    argv = build_command(small(asked), PLACEMENT, {}).argv
    assert [text for text in argv if GROUPS in text and ".metric" not in text] == [
        f"{GROUPS}.enable=false"
    ]
    assert "Dropping groups without a difference" in " ".join(not_tried(asked))


@pytest.mark.parametrize("values", [{}, {"variant": "dapo", "filter_groups": False}])
def test_a_job_that_drops_no_group_is_not_said_to(values: dict[str, Any]) -> None:
    assert "Dropping groups" not in " ".join(not_tried(spec_of("grpo", **LARGE, **values)))


def test_a_small_supervised_run() -> None:
    found = small(spec_of("sft", max_length=4096, train_batch_size=64, gpus=8))
    assert isinstance(found, TrainSpec)
    assert (found.values["train_batch_size"], found.values["micro_batch_size"]) == (2, 2)
    assert found.values["max_length"] == 4096
    assert rows_of(found) == 6
