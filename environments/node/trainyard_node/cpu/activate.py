"""Making verl run on a CPU: its own plug-in points first, patches for the rest."""

import sys
import traceback


def activate() -> None:
    """Register the platform, the engines and the rollout, then apply the patches.

    Raises what went wrong after printing it: verl itself logs a failed plug-in at debug level
    only, and goes on as if no CPU support had been asked for.
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

    # First of all: importing verl's engines already asks which platform this is.
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
