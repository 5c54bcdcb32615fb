"""The plug-in: everything with VERL_PLATFORM=cpu, nothing without it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

LOOK = """
import json, os, torch, torch.distributed as dist
from transformers import AutoModelForTokenClassification as Critic
before = (dist.init_process_group, torch.Tensor.pin_memory, Critic.from_pretrained.__func__)
import verl, sys
early = [name for name in sys.modules if name.startswith("trainyard_node")]
from verl.plugin.platform.platform_manager import PlatformRegistry, get_platform
from verl.workers.engine.base import EngineRegistry
from verl.workers.rollout.base import _ROLLOUT_REGISTRY
from verl.workers.rollout.replica import RolloutReplicaRegistry
after = (dist.init_process_group, torch.Tensor.pin_memory, Critic.from_pretrained.__func__)
engines = EngineRegistry._engines
print("LOOK" + json.dumps({
    "unpatched": [a is b for a, b in zip(before, after)],
    "modules": sorted(early),
    "platforms": sorted(PlatformRegistry.registered_names()),
    "platform": get_platform().device_name,
    "rollouts": sorted(name for name, _ in _ROLLOUT_REGISTRY),
    "replicas": sorted(RolloutReplicaRegistry._registry),
    "engine_devices": {
        f"{kind}/{backend}": sorted(map(str, engines[kind][backend]))
        for kind in ("language_model", "value_model") for backend in ("fsdp", "fsdp2")
    },
    "environment": sorted(name for name in os.environ if name.startswith("VERL_")),
}))
"""


# Away from the repository's root, whose `datasets` would be imported in place of Hugging Face's.
ELSEWHERE = "/"


def look(environment: dict[str, str]) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", LOOK],
        env=environment, cwd=ELSEWHERE, capture_output=True, text=True, check=True,
    )  # fmt: skip
    found: dict[str, Any] = json.loads(done.stdout.split("LOOK")[1])
    return found


def test_a_gpu_run_is_unchanged(clean_environment: dict[str, str]) -> None:
    with_plugin = look(clean_environment)
    without = look({**clean_environment, "VERL_USE_EXTERNAL_PLUGINS": "none"})
    assert without.pop("modules") == []
    assert with_plugin.pop("modules") == ["trainyard_node", "trainyard_node.plugin"]
    assert with_plugin.pop("environment") == []
    without.pop("environment")
    assert with_plugin == without
    assert with_plugin["unpatched"] == [True, True, True]
    assert "hf" not in with_plugin["rollouts"]
    assert "cpu" not in with_plugin["platforms"]


def test_a_cpu_run_finds_what_it_needs(clean_environment: dict[str, str]) -> None:
    found = look({**clean_environment, "VERL_PLATFORM": "cpu"})
    assert found["platform"] == "cpu"
    assert found["unpatched"] == [False, False, False]
    assert "hf" in found["rollouts"]
    assert "hf" in found["replicas"]
    assert all("cpu" in devices for devices in found["engine_devices"].values())


def test_a_process_of_a_cpu_run_imports_little_before_it_works(
    clean_environment: dict[str, str], tmp_path: Path
) -> None:
    code = """
import gc, sys
usual = gc.get_threshold()
import trainyard_node.early
assert gc.get_threshold() > usual
import verl
assert gc.get_threshold() == usual and gc.get_freeze_count() > 100_000
print([name for name in ("peft", "verl.workers.engine", "verl.workers.rollout")
       if name in sys.modules])
"""
    run = {"VERL_PLATFORM": "cpu", "TRAINYARD_RUN_DIR": str(tmp_path), "TRAINYARD_ATTEMPT": "one"}
    argv = [sys.executable, "-W", "ignore", "-c", code]
    found = subprocess.check_output(argv, env={**clean_environment, **run}, cwd=ELSEWHERE)
    assert found.splitlines()[-1] == b"[]"


def test_a_failing_plugin_is_seen(clean_environment: dict[str, str]) -> None:
    code = "import sys; sys.modules['trainyard_node.cpu.platform'] = None;import verl"
    environment = {**clean_environment, "VERL_PLATFORM": "cpu"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        cwd=ELSEWHERE,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "trainyard_node: could not prepare verl for the CPU" in done.stderr


def test_device_module_answers_what_torch_cpu_does_not(clean_environment: dict[str, str]) -> None:
    code = """
from trainyard_node.cpu.device import device_module as device
import torch
free, total = device.mem_get_info()
assert 0 < free < total == device.get_device_properties().total_memory
assert 0 < device.memory_allocated() <= device.max_memory_allocated() * 1.5
state = device.get_rng_state(); first = torch.rand(3); device.set_rng_state(state)
assert torch.equal(first, torch.rand(3))
assert device.is_available() and device.current_device() == torch.device("cpu")
assert device.synchronize() is None
"""
    subprocess.run([sys.executable, "-c", code], env=clean_environment, cwd=ELSEWHERE, check=True)
