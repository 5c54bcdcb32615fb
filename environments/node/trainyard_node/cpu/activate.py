"""Make verl run on a CPU: through its own plug-in points first, then through patches."""

import sys
import traceback


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
    from verl.plugin.platform.platform_manager import PlatformRegistry

    from trainyard_node.cpu import patches
    from trainyard_node.cpu.platform import PlatformCPU

    # This comes first: importing verl's engines already asks for the platform.
    PlatformRegistry.register(platform="cpu")(PlatformCPU)
    patches.apply()
    _register_engines()

    from trainyard_node.rollout import register

    register()


def _register_engines() -> None:
    from verl.workers.engine.base import EngineRegistry
    from verl.workers.engine.fsdp.transformer_impl import (
        FSDPEngineWithLMHead,
        FSDPEngineWithValueHead,
    )

    backends = ["fsdp", "fsdp2"]
    EngineRegistry.register("language_model", backends, device="cpu")(FSDPEngineWithLMHead)
    EngineRegistry.register("value_model", backends, device="cpu")(FSDPEngineWithValueHead)
