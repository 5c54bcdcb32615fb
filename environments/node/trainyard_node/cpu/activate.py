"""Make verl run on a CPU: through its own plug-in points first, then through patches."""

import sys
import traceback
from types import ModuleType

from trainyard_node.imports import when_imported

ENGINES = "verl.workers.engine.fsdp.transformer_impl"


def activate() -> None:
    """Register the platform, the engines and the rollout, then apply the patches.

    Prints an error before raising it: verl itself logs a failed plug-in only at debug level, and
    goes on as if no CPU support had been requested.
    """
    try:
        _activate()
    except BaseException:
        print("trainyard_node: could not prepare verl for the CPU:", file=sys.stderr)
        traceback.print_exc()
        raise


def _activate() -> None:
    """Imports neither engines nor rollout: of the processes of a run, few need them, and each would
    start two seconds later.
    """
    from verl.plugin.platform.platform_manager import PlatformRegistry

    from trainyard_node import rollout
    from trainyard_node.cpu import patches
    from trainyard_node.cpu.platform import PlatformCPU

    # This comes first: importing verl's engines already asks for the platform.
    PlatformRegistry.register(platform="cpu")(PlatformCPU)
    patches.apply()
    when_imported(ENGINES, _register_engines)
    rollout.register()


def _register_engines(module: ModuleType) -> None:
    from verl.workers.engine.base import EngineRegistry

    backends = ["fsdp", "fsdp2"]
    register = EngineRegistry.register
    register("language_model", backends, device="cpu")(module.FSDPEngineWithLMHead)
    register("value_model", backends, device="cpu")(module.FSDPEngineWithValueHead)
