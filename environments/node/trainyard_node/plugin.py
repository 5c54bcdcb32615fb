"""The entry point that verl loads (group `verl.plugins`) in each of its processes.

It does nothing unless VERL_PLATFORM is "cpu" or the wrapper started the run: it must not affect a
verl that was started by hand on GPUs. A run of the wrapper gets a fuller rollout record, and can be
paused.
"""

import os

if os.environ.get("VERL_PLATFORM", "").strip().lower() == "cpu":
    from trainyard_node.cpu.activate import activate

    activate()

if os.environ.get("TRAINYARD_ATTEMPT"):  # record.MARK, without importing that module
    from trainyard_node.rewards import parts

    parts.install()

if os.environ.get("TRAINYARD_RUN_DIR"):  # record.RUN_DIR, likewise without importing it
    from trainyard_node import early, hooks

    hooks.install()
    early.over()
