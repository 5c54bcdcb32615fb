"""The entry point that verl loads (group `verl.plugins`) in each of its processes.

It does nothing unless VERL_PLATFORM is "cpu" or the wrapper started the run: verl started by hand
on GPUs must not notice this package. A run of the wrapper has more in its rollout record and can be
paused.
"""

import os

if os.environ.get("VERL_PLATFORM", "").strip().lower() == "cpu":
    from trainyard_node.cpu.activate import activate

    activate()

if os.environ.get("TRAINYARD_ATTEMPT"):  # record.MARK; that module is not imported for its name
    from trainyard_node.rewards import parts

    parts.install()

if os.environ.get("TRAINYARD_RUN_DIR"):  # record.RUN_DIR, likewise
    from trainyard_node import hooks

    hooks.install()
