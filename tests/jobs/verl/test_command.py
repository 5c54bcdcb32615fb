from jobs.process import Placement, Setting
from jobs.verl.command import build_command
from jobs.verl.releases import RELEASES
from tests.factories import grpo_spec, sft_spec, spec_of

PLACEMENT = Placement("/runs/1/attempt-1", "/venv/bin/python", "tiny-1234")


def test_sft_on_the_cpu() -> None:
    command = build_command(sft_spec("optim.num_cycles=0.1"), PLACEMENT, {})
    assert command.argv == (
        "/venv/bin/python",
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nnodes=1",
        "--nproc_per_node=1",
        "-m",
        "trainyard_node.sft",
        "trainer.project_name=trainyard",
        "trainer.experiment_name=tiny-1234",
        "trainer.logger=[console,file]",
        "trainer.default_local_dir=/runs/1/attempt-1/checkpoints",
        "hydra.run.dir=/runs/1/attempt-1/hydra",
        "data.use_dynamic_bsz=false",
        "trainer.device=cpu",
        "engine.strategy=fsdp2",
        "engine.use_torch_compile=false",
        "+engine.mixed_precision.param_dtype=float32",
        "model.use_remove_padding=false",
        "+model.override_config.attn_implementation=sdpa",
        "data.num_workers=0",
        "data.train_files=/data/train.parquet",
        "data.val_files=/data/val.parquet",
        "data.train_batch_size=64",
        "data.max_length=64",
        "model.path=/models/tiny",
        "optim.lr=0.001",
        "data.micro_batch_size_per_gpu=32",
        "trainer.total_epochs=2",
        "trainer.n_gpus_per_node=1",
        "optim.num_cycles=0.1",
    )
    assert command.cwd == "/runs/1/attempt-1"


def test_an_older_verl_runs_its_own_sft_trainer() -> None:
    modules = {
        release: build_command(spec_of("sft", verl=release, device="cuda"), PLACEMENT, {}).argv[7]
        for release in RELEASES
    }
    assert modules == {
        "0.7.1": "verl.trainer.sft_trainer",
        "0.8.0": "verl.trainer.sft_trainer",
        "0.9.1": "trainyard_node.sft",
    }


def test_grpo_on_the_cpu() -> None:
    spec = grpo_spec(clip_ratio=0.2, steps=16)
    assert build_command(spec, PLACEMENT, {}).argv == (
        "/venv/bin/python",
        "-m",
        "verl.trainer.main_ppo",
        "trainer.project_name=trainyard",
        "trainer.experiment_name=tiny-1234",
        "trainer.logger=[console,file]",
        "trainer.default_local_dir=/runs/1/attempt-1/checkpoints",
        "hydra.run.dir=/runs/1/attempt-1/hydra",
        "trainer.nnodes=1",
        "data.seed=1",
        "trainer.rollout_data_dir=/runs/1/attempt-1/rollouts",
        "trainer.validation_data_dir=/runs/1/attempt-1/validation",
        "trainer.device=cpu",
        "actor_rollout_ref.actor.strategy=fsdp2",
        "actor_rollout_ref.actor.fsdp_config.use_torch_compile=false",
        "+actor_rollout_ref.actor.fsdp_config.mixed_precision.param_dtype=float32",
        "actor_rollout_ref.ref.strategy=fsdp2",
        "+actor_rollout_ref.ref.fsdp_config.mixed_precision.param_dtype=float32",
        "actor_rollout_ref.rollout.dtype=float32",
        "actor_rollout_ref.model.use_remove_padding=false",
        "+actor_rollout_ref.model.override_config.attn_implementation=sdpa",
        "data.dataloader_num_workers=0",
        "actor_rollout_ref.rollout.agent.num_workers=1",
        "reward.num_workers=1",
        "transfer_queue.backend.SimpleStorage.num_data_storage_units=1",
        "+ray_kwargs.ray_init.include_dashboard=false",
        "+ray_kwargs.ray_init.object_store_memory=200000000",
        "ray_kwargs.ray_init.num_cpus=32",
        "+ray_kwargs.ray_init.num_gpus=1",
        "algorithm.adv_estimator=grpo",
        "data.train_files=/data/train.parquet",
        "data.val_files=/data/val.parquet",
        "data.train_batch_size=32",
        "data.max_prompt_length=32",
        "data.max_response_length=8",
        "actor_rollout_ref.model.path=/models/tiny",
        "actor_rollout_ref.actor.clip_ratio=0.2",
        "actor_rollout_ref.actor.clip_ratio_low=0.2",
        "actor_rollout_ref.actor.clip_ratio_high=0.2",
        "actor_rollout_ref.actor.optim.lr=0.0005",
        "actor_rollout_ref.actor.ppo_mini_batch_size=32",
        "actor_rollout_ref.rollout.n=8",
        "actor_rollout_ref.rollout.name=hf",
        "actor_rollout_ref.rollout.tensor_model_parallel_size=1",
        "actor_rollout_ref.rollout.log_prob_micro_batch_size_per_gpu=128",
        "actor_rollout_ref.ref.log_prob_micro_batch_size_per_gpu=128",
        "actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu=64",
        "trainer.total_epochs=4",
        "trainer.total_training_steps=16",
        "trainer.n_gpus_per_node=1",
    )


def test_on_gpus_nothing_of_the_cpu_is_set() -> None:
    command = build_command(sft_spec(device="cuda", gpus=4), PLACEMENT, {})
    assert command.argv[5] == "--nproc_per_node=4"
    assert command.argv[8:14] == (
        "trainer.project_name=trainyard",
        "trainer.experiment_name=tiny-1234",
        "trainer.logger=[console,file]",
        "trainer.default_local_dir=/runs/1/attempt-1/checkpoints",
        "hydra.run.dir=/runs/1/attempt-1/hydra",
        "data.use_dynamic_bsz=false",
    )
    assert not [part for part in command.argv if "cpu" in part]
    assert "VERL_PLATFORM" not in command.env


def test_the_environment_says_where_metrics_go() -> None:
    env = build_command(sft_spec(), PLACEMENT, {}).env
    assert env["VERL_FILE_LOGGER_PATH"] == "/runs/1/attempt-1/metrics.jsonl"
    assert env["VERL_PLATFORM"] == "cpu"
    assert env["HF_HUB_OFFLINE"] == "1"
    assert env["PYTHONUNBUFFERED"] == "1"


def test_each_setting_names_who_asked_for_it() -> None:
    command = build_command(
        sft_spec("optim.num_cycles=0.1"), PLACEMENT, {"lr": "you", "epochs": "recipe"}
    )
    by_key = {setting.key: setting for setting in command.settings}
    assert by_key["trainer.logger"].origin == "platform"
    assert by_key["optim.lr"] == Setting("optim.lr", "optim.lr=0.001", "you")
    assert by_key["trainer.total_epochs"].origin == "recipe"
    assert by_key["optim.num_cycles"].origin == "you"
    assert by_key["model.override_config.attn_implementation"].text.startswith("+model.")


def test_a_run_directory_with_spaces_is_quoted_for_hydra() -> None:
    placement = Placement("/my runs/it's", "python", "x")
    argv = build_command(sft_spec(), placement, {}).argv
    assert "trainer.default_local_dir='/my runs/it\\'s/checkpoints'" in argv
    assert "hydra.run.dir='/my runs/it\\'s/hydra'" in argv


def test_a_seed_of_the_users_takes_the_place_of_the_platforms() -> None:
    argv = build_command(grpo_spec(seed=7), PLACEMENT, {}).argv
    assert [part for part in argv if part.startswith("data.seed=")] == ["data.seed=7"]


def test_free_overrides_stand_last_and_as_written() -> None:
    spec = sft_spec("+model.override_config.x=1", "~data.seed")
    assert build_command(spec, PLACEMENT, {}).argv[-2:] == (
        "+model.override_config.x=1",
        "~data.seed",
    )


def test_a_hostile_path_stays_one_argument() -> None:
    spec = sft_spec(model_path="/m/x'; touch pwned #")
    assert "model.path='/m/x\\'; touch pwned #'" in build_command(spec, PLACEMENT, {}).argv


def test_lora_on_the_cpu_hands_whole_weights_to_the_rollout() -> None:
    merged = "actor_rollout_ref.model.lora.merge=true"
    on_cpu = {"device": "cpu", "engine": "hf"}
    assert merged in build_command(grpo_spec(**on_cpu, lora_rank=8), PLACEMENT, {}).argv
    assert merged not in build_command(grpo_spec(**on_cpu), PLACEMENT, {}).argv
    on_gpu = grpo_spec(device="cuda", engine="vllm", lora_rank=8)
    assert merged not in build_command(on_gpu, PLACEMENT, {}).argv
