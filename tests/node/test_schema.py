"""The dumped configuration keys and the check by Hydra itself."""

import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import commands
import pytest
from trainyard_node import schema

ROOT = Path(__file__).parents[2]
KEPT = ROOT / "environments" / "verl-0.9" / "schema"
PLATFORM = ROOT / ".venv/bin/python"


def hydra_overrides(argv: list[str]) -> list[str]:
    return [part for part in argv if "=" in part and not part.startswith("--")]


@pytest.mark.parametrize("config", schema.CONFIGS)
def test_kept_schema_is_that_of_the_installed_verl(config: str) -> None:
    assert json.loads((KEPT / f"{config}.json").read_text()) == schema.dump(config)


def test_types_defaults_and_open_nodes() -> None:
    keys = schema.dump("ppo_trainer")["keys"]
    assert keys["trainer.device"] == {"default": "cuda", "type": "str"}
    assert keys["data.train_batch_size"]["type"] == "int"
    assert keys["actor_rollout_ref.actor.optim.lr"]["type"] == "float"
    assert keys["trainer.val_before_train"]["type"] == "bool"
    assert keys["trainer.logger"]["type"] == "list"
    assert keys["trainer.total_training_steps"] == {"default": None, "type": "null"}
    assert keys["actor_rollout_ref.model.override_config"] == {"default": {}, "type": "dict"}
    assert keys["actor_rollout_ref.rollout.name"] == {"default": "???", "type": "str"}


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["trainer.nope=1"], "trainer.nope"),
        (["trainer.total_epochs"], "trainer.total_epochs"),
        (["+trainer.total_epochs=1"], "total_epochs"),
        (["data=missing_group"], "missing_group"),
    ],
)
def test_check_repeats_hydras_refusal(overrides: list[str], said: str) -> None:
    command = [sys.executable, "-m", "trainyard_node.schema", "--check", "ppo_trainer", *overrides]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture(scope="module")
def platform_commands() -> list[tuple[str, str, str, list[str]]]:
    """What the platform would run: every recipe x algorithm x method, for each release."""
    asked = [str(PLATFORM), "-m", "tests.composed"]
    found: list[tuple[str, str, str, list[str]]]
    found = json.loads(subprocess.check_output(asked, cwd=ROOT, timeout=120))
    return found


@pytest.mark.parametrize("config", schema.CONFIGS)
def test_the_platforms_commands_compose(
    config: str, platform_commands: list[tuple[str, str, str, list[str]]]
) -> None:
    mine = [
        [each for each in overrides if not each.startswith("hydra.")]
        for _, release, wanted, overrides in platform_commands
        if wanted == config and release == version("verl")
    ]
    assert mine
    for overrides, composed in zip(mine, schema.compose_all(config, mine), strict=True):
        assert composed.trainer.project_name == "trainyard", overrides


def test_one_unknown_key_among_the_commands_is_an_error() -> None:
    with pytest.raises(Exception, match="nope"):
        schema.compose_all("ppo_trainer", [["trainer.nnodes=1"], ["trainer.nope=1"]])


def test_a_field_of_a_data_class_is_one_that_verl_builds_with() -> None:
    fields = schema.dump("sft_trainer_engine")["fields"]
    assert fields["engine.mixed_precision"] == "dict"
    assert "engine.dtype" not in fields  # a key already
    from verl.utils.config import omega_conf_to_dataclass

    built = omega_conf_to_dataclass(
        schema.compose("sft_trainer_engine", ["+engine.mixed_precision={param_dtype:fp32}"]).engine
    )
    assert dict(built.mixed_precision) == {"param_dtype": "fp32"}
    with pytest.raises(Exception, match="nope"):
        omega_conf_to_dataclass(schema.compose("sft_trainer_engine", ["+engine.nope=1"]).engine)


def test_check_accepts_the_sample_commands(tmp_path: Path) -> None:
    for config, command in (
        ("sft_trainer_engine", commands.sft(tmp_path, tmp_path)),
        ("ppo_trainer", commands.grpo(tmp_path, tmp_path)),
    ):
        overrides = [
            each for each in hydra_overrides(command.argv) if not each.startswith("hydra.")
        ]
        assert schema.refusal(config, overrides) is None
        asked = [sys.executable, "-m", "trainyard_node.schema", "--check", config, *overrides]
        assert subprocess.run(asked, check=False).returncode == 0


def test_verl_itself_is_not_imported() -> None:
    code = (
        "import sys; from trainyard_node import schema; schema.dump('ppo_trainer');"
        "print('verl' in sys.modules or 'torch' in sys.modules)"
    )
    assert subprocess.check_output([sys.executable, "-c", code]) == b"False\n"
