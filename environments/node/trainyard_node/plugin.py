"""The entry point that verl loads (group `verl.plugins`) in each of its processes.

It does nothing unless VERL_PLATFORM is "cpu": a run on GPUs must not notice this package.
"""

import os

if os.environ.get("VERL_PLATFORM", "").strip().lower() == "cpu":
    from trainyard_node.cpu.activate import activate

    activate()
