from pathlib import Path
from typing import Any

import pytest

from jobs.verl import checks
from jobs.verl.batches import check_batches, check_heads
from jobs.verl.contradictions import check_contradictions
from jobs.verl.schema import load
from jobs.verl.spec import Problem, TrainSpec
from tests.factories import grpo_spec, sft_spec, spec_of

SCHEMA = Path(__file__).resolve().parents[3] / "environments"


def problems_of(spec: TrainSpec) -> list[Problem]:
    return list(checks.check_overrides(spec, load(SCHEMA, spec.kind)))


def test_known_overrides_pass() -> None:
    assert problems_of(sft_spec("optim.num_cycles=0.1", "+model.override_config.x=1")) == []


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("optim.lrr=1", "has no key optim.lrr. Nearest: optim.lr"),
        ("optim.lr=1", "optim.lr is set by the field 'Learning rate'."),
        ("+optim.lr=1", "optim.lr is set by the field 'Learning rate'."),
        ("~optim.lr", "optim.lr is set by the field 'Learning rate'."),
        ("trainer.logger=[console]", "trainer.logger is set by Trainyard"),
        ("hydra.run.dir=/elsewhere", "hydra.run.dir is set by Trainyard"),
        ("++trainer.default_local_dir=/x", "trainer.default_local_dir is set by Trainyard"),
        ("~trainer.logger", "trainer.logger is set by Trainyard"),
        ("trainer={logger:[console]}", "trainer holds keys that fields set"),
        ("++data={train_files:/etc/x}", "data holds keys that fields set"),
        ("~optim", "optim holds keys that fields set"),
        ("trainer.resume_mode=disable", "trainer.resume_mode is set by Trainyard"),
        ("nonsense", "'nonsense' is not key=value"),
        ("optim.num_cycles=0.1,0.2", "lists several values"),
        ("data.train_max_samples=all", "takes a whole number, not 'all'"),
    ],
)
def test_a_bad_override_is_named(override: str, words: str) -> None:
    [problem] = problems_of(sft_spec(override))
    assert problem.field == "overrides"
    assert words in problem.message


@pytest.mark.parametrize(
    "override",
    [
        "+hydra.job.env_set.PATH=/tmp",
        "++hydra.callbacks.x={_target_:os.system}",
        "hydra.job_logging={version:1}",
        "~hydra.job",
        "hydra/launcher=joblib",
        "+hydra={job:{chdir:true}}",
        "hydra.sweep.dir=/tmp",
    ],
)
def test_nothing_of_hydras_own_is_set(override: str) -> None:
    [problem] = problems_of(sft_spec(override))
    assert "is Hydra's own setting, and none of a run's" in problem.message


@pytest.mark.parametrize(
    ("override", "name"),
    [
        ("+model.override_config.x={_target_:os.system}", "_target_"),
        ("+model.override_config.x=[1,{a:{_target_:x}}]", "_target_"),
        ("+a._target_=os.system", "_target_"),
        ("model.external_lib=os", "external_lib"),
        ("data.custom_cls.path=/x.py", "custom_cls"),
        ("model.trust_remote_code=true", "trust_remote_code"),
        ("model.custom_chat_template=x", "custom_chat_template"),
        ("reward.reward_manager.module.path=/x.py", "module"),
        ("+ray_kwargs.ray_init.runtime_env.py_modules=[/x]", "runtime_env"),
        ("actor_rollout_ref.rollout.multi_turn.tool_config_path=/x.yaml", "tool_config_path"),
    ],
)
def test_what_names_code_is_for_staff(override: str, name: str) -> None:
    [problem] = checks.check_code(sft_spec(override))
    assert (problem.field, f": {name} names code" in problem.message) == ("overrides", True)


def test_plain_overrides_name_no_code() -> None:
    assert (
        list(checks.check_code(sft_spec("optim.num_cycles=0.1", "+model.override_config.x={a:1}")))
        == []
    )


def test_a_key_that_is_given_twice() -> None:
    spec = sft_spec("optim.num_cycles=0.1", "++optim.num_cycles=0.2")
    assert problems_of(spec) == [Problem("overrides", "optim.num_cycles is given twice.")]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, []),
        (
            {"train_batch_size": 30, "gpus": 4},
            [
                Problem(
                    "train_batch_size",
                    "30 does not divide by 4 (devices): the nearest that do are 2, 3, 5.",
                )
            ],
        ),
        (
            {"micro_batch_size": 24},
            [
                Problem(
                    "micro_batch_size",
                    "64 does not divide by 24 (a micro batch): the nearest that do are 8, 16, 32.",
                )
            ],
        ),
        (
            {"micro_batch_size": 128},
            [
                Problem(
                    "micro_batch_size",
                    "64 does not divide by 128 (a micro batch): "
                    "the nearest that do are 16, 32, 64.",
                )
            ],
        ),
    ],
)
def test_sft_batches(values: dict[str, Any], expected: list[Problem]) -> None:
    assert list(check_batches(sft_spec(**values))) == expected


@pytest.mark.parametrize(
    ("values", "fields"),
    [
        ({}, []),
        ({"mini_batch_size": 24}, ["mini_batch_size"]),
        ({"mini_batch_size": 64, "micro_batch_size": 64}, ["mini_batch_size"]),
        ({"rollout_n": 5, "gpus": 3}, ["rollout_n"]),
        ({"micro_batch_size": 48}, ["micro_batch_size"]),
        ({"tensor_parallel": 2}, ["tensor_parallel"]),
        ({"tensor_parallel": 2, "gpus": 2}, []),
    ],
)
def test_rl_batches(values: dict[str, Any], fields: list[str]) -> None:
    assert [problem.field for problem in check_batches(grpo_spec(**values))] == fields


def test_a_huge_batch_is_answered_at_once() -> None:
    spec = sft_spec(train_batch_size=2**31 - 2, micro_batch_size=4)
    [problem] = check_batches(spec)
    assert problem.message == (
        "2147483646 does not divide by 4 (a micro batch): the nearest that do are 2, 3, 6."
    )


@pytest.mark.parametrize(
    ("device", "engine", "message"),
    [
        ("cpu", "hf", None),
        ("cuda", "vllm", None),
        ("cuda", "sglang", None),
        ("cpu", "vllm", "vllm needs a GPU; on the CPU the engine is hf."),
        ("cuda", "hf", "hf samples on the CPU only; take vllm or sglang on a GPU."),
    ],
)
def test_engine(device: str, engine: str, message: str | None) -> None:
    found = list(check_contradictions(grpo_spec(device=device, engine=engine)))
    assert found == ([Problem("engine", message)] if message else [])


def test_sft_has_no_engine_to_check() -> None:
    assert list(check_contradictions(sft_spec())) == []


@pytest.mark.parametrize(
    ("values", "rows", "expected"),
    [
        ({}, 2048, []),
        (
            {},
            63,
            [Problem("train_batch_size", "The data has 63 rows, fewer than a batch: 64.")],
        ),
        ({"steps": 64}, 2048, []),
        (
            {"steps": 65},
            2048,
            [Problem("steps", "The epochs hold 64 steps only: set epochs to 3 or more.")],
        ),
    ],
)
def test_rows(values: dict[str, Any], rows: int, expected: list[Problem]) -> None:
    assert list(checks.check_rows(sft_spec(**values), rows)) == expected


def test_more_steps_than_can_be_counted_are_refused() -> None:
    [problem] = checks.check_rows(sft_spec(epochs=2**31 - 1), 2048)
    assert problem.field == "epochs"


@pytest.mark.parametrize(
    ("spec", "context", "expected"),
    [
        (sft_spec(max_length=512), 512, []),
        (sft_spec(max_length=512), None, []),
        (
            sft_spec(max_length=513),
            512,
            [Problem("max_length", "The model's context is 512 tokens.")],
        ),
        (grpo_spec(max_prompt_length=32, max_response_length=8), 40, []),
        (
            grpo_spec(max_prompt_length=32, max_response_length=8),
            39,
            [
                Problem(
                    "max_response_length",
                    "Prompt and answer may take 40 tokens; the model's context is 39.",
                )
            ],
        ),
    ],
)
def test_context(spec: TrainSpec, context: int | None, expected: list[Problem]) -> None:
    assert list(checks.check_context(spec, context)) == expected


@pytest.mark.parametrize(
    ("override", "allowed"),
    [
        ("data.custom_cls.path=/home/me/cls.py", True),
        ("data.custom_cls.path=/etc/cls.py", False),
        ("data.custom_cls.path=null", True),
        ("optim.num_cycles=0.1", True),
    ],
)
def test_files_of_overrides_lie_in_the_allowed_folders(override: str, allowed: bool) -> None:
    def why_not(path: str) -> str:
        return "" if path.startswith("/home/me") else f"{path} is not yours"

    found = list(checks.check_paths(sft_spec(override), why_not))
    assert [problem.field for problem in found] == ([] if allowed else ["overrides"])


def test_a_validation_set_smaller_than_a_batch_gives_no_loss() -> None:
    [problem] = checks.check_validation(sft_spec(train_batch_size=64), 63)
    assert problem.field == "val_files"
    assert list(checks.check_validation(sft_spec(train_batch_size=64), 64)) == []


def test_the_cpu_rollout_keeps_a_whole_copy() -> None:
    [problem] = check_contradictions(grpo_spec(device="cpu", engine="hf", tensor_parallel=2))
    assert problem.field == "tensor_parallel"


@pytest.mark.parametrize(
    ("spec", "field", "words"),
    [
        (spec_of("grpo", rollout_n=1), "rollout_n", "with one answer nothing is learnt"),
        (spec_of("grpo", rollout_n=1, variant="rloo"), "rollout_n", "RLOO compares"),
        (spec_of("gspo", rollout_n=1), "rollout_n", "GSPO compares"),
        (spec_of("grpo", use_kl_loss=True, use_kl_in_reward=True), "use_kl_loss", "twice"),
        (spec_of("grpo", variant="rloo", use_kl_loss=True), "use_kl_loss", "twice"),
        (spec_of("ppo", kl_ctrl="adaptive"), "kl_ctrl", "in the reward, which is off"),
        (spec_of("sft", lora_alpha=16), "lora_alpha", "counts with LoRA only"),
        (spec_of("dpo", reference="lora_base"), "reference", "no base to switch to"),
        (spec_of("dpo", dpo_loss="ipo", label_smoothing=0.1), "label_smoothing", "no smoothing"),
        (spec_of("dpo", dpo_loss="ipo", length_normalize=True), "length_normalize", "already"),
        (spec_of("sft", dynamic_batch=True), "max_tokens_per_gpu", "needs their number"),
        (
            spec_of("sft", dynamic_batch=True, max_tokens_per_gpu=63),
            "max_tokens_per_gpu",
            "A single row may take 64 tokens",
        ),
        (
            spec_of("dpo", dynamic_batch=True, max_tokens_per_gpu=127),
            "max_tokens_per_gpu",
            "A single row may take 128 tokens",
        ),
        (spec_of("grpo", overlong_buffer=9), "overlong_buffer", "8 tokens at most"),
        (
            spec_of("grpo", device="cuda", engine="vllm", reward_model="/m", overlong_buffer=4),
            "overlong_buffer",
            "past the manager",
        ),
        (spec_of("grpo", val_n=5), "val_n", "all answers to a prompt are the same"),
        (spec_of("ppo", val_n=2, val_temperature=0.0), "val_n", "set the temperature"),
        (spec_of("grpo", max_batched_tokens=9), "max_batched_tokens", "Only vllm"),
        (
            spec_of("grpo", device="cuda", engine="sglang", max_batched_tokens=9),
            "max_batched_tokens",
            "leave it empty with sglang",
        ),
        (
            sft_spec("+data.apply_chat_template_kwargs.enable_thinking=false"),
            "overrides",
            "Write data.enable_thinking_default=false",
        ),
        (spec_of("grpo", gamma=0.9), "gamma", "Only REINFORCE++"),
        (spec_of("grpo", variant="rloo", gamma=0.9), "gamma", "Only REINFORCE++"),
        (spec_of("grpo", variant="remax", most_lost=0.1), "most_lost", "not with ReMax"),
        (
            spec_of("ppo", verl="0.8.0", device="cuda", engine="vllm", most_lost=0.1),
            "most_lost",
            "Only the trainer of verl 0.9.1",
        ),
        (spec_of("grpo", overlong_penalty=1.0), "overlong_penalty", "where the penalty begins"),
        (
            spec_of("grpo", overlong_buffer=4, reward_manager="naive"),
            "reward_manager",
            "naive manager",
        ),
        (spec_of("sft", strategy="fsdp"), "strategy", "fsdp2 only"),
        (spec_of("sft", dtype="bfloat16"), "dtype", "float32 only"),
        (spec_of("sft", remove_padding=True), "remove_padding", "FlashAttention"),
        (spec_of("grpo", reward_model="/m"), "reward_model", "on a GPU only"),
        (
            spec_of("grpo", device="cuda", engine="vllm", reward_model="/m", filter_groups=True),
            "filter_groups",
            "before a reward model",
        ),
        (spec_of("grpo", variant="remax", filter_groups=True), "filter_groups", "former trainer"),
        (spec_of("sft", verl="0.8.0"), "machine", "run verl 0.9.1"),
        (spec_of("sft", verl="9.9.9"), "machine", "There is no verl 9.9.9"),
        (spec_of("dpo", verl="0.7.1", device="cuda"), "machine", "cannot run DPO"),
        (
            spec_of("grpo", verl="0.8.0", device="cuda", engine="vllm", variant="dapo"),
            "variant",
            "never drops groups",
        ),
    ],
)
def test_a_contradiction_is_named(spec: TrainSpec, field: str, words: str) -> None:
    problems = list(check_contradictions(spec))
    assert [problem.field for problem in problems] == [field]
    assert words in problems[0].message


@pytest.mark.parametrize("kind", ["sft", "dpo", "ppo", "grpo", "gspo"])
def test_what_fits_together_passes(kind: str) -> None:
    assert list(check_contradictions(spec_of(kind))) == []
    assert list(check_batches(spec_of(kind))) == []


@pytest.mark.parametrize("variant", ["reinforce_plus_plus", "remax"])
def test_a_method_that_compares_nothing_takes_one_answer(variant: str) -> None:
    spec = spec_of("grpo", variant=variant, rollout_n=1, mini_batch_size=32, micro_batch_size=32)
    assert list(check_contradictions(spec)) == []


@pytest.mark.parametrize(
    ("values", "heads", "fields"),
    [
        ({"tensor_parallel": 4}, 14, ["tensor_parallel"]),
        ({"tensor_parallel": 2}, 14, []),
        ({"sequence_parallel": 8}, 28, ["sequence_parallel"]),
        ({"tensor_parallel": 4}, None, []),
    ],
)
def test_heads(values: dict[str, Any], heads: int | None, fields: list[str]) -> None:
    assert [p.field for p in check_heads(spec_of("grpo", **values), heads)] == fields


def test_the_nearest_degrees_that_divide_the_heads_are_named() -> None:
    [problem] = check_heads(spec_of("grpo", tensor_parallel=4), 14)
    assert problem.message == (
        "The model has 14 attention heads, which tensor parallelism of 4 does not divide: "
        "1, 2, 7, 14 do."
    )


def test_the_critics_micro_batch_divides_too() -> None:
    [problem] = check_batches(spec_of("ppo", critic_micro_batch_size=48))
    assert problem.field == "critic_micro_batch_size"


def test_sequence_parallelism_leaves_fewer_replicas() -> None:
    spec = spec_of("sft", gpus=4, sequence_parallel=2, train_batch_size=6, micro_batch_size=3)
    assert list(check_batches(spec)) == []
    [problem] = check_batches(spec_of("sft", gpus=4, sequence_parallel=3))
    assert problem.field == "sequence_parallel"
