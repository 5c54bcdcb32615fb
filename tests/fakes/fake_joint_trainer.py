"""A trainer that only asks its Ray where the ranks would run, and writes metrics.

Called as ``fake_joint_trainer.py FOLDER …``; it goes on to step N once the file FOLDER/go allows
it.
"""

import json
import os
import sys
import time
from pathlib import Path

import ray


@ray.remote(num_gpus=1)
class Rank:
    def where(self) -> tuple[str, str]:
        return ray.util.get_node_ip_address(), os.environ["TRAINYARD_RUN_DIR"]


def main() -> None:
    ray.init()
    ranks = [Rank.remote() for _ in range(2)]  # type: ignore[attr-defined]
    Path("ranks.json").write_text(json.dumps(ray.get([rank.where.remote() for rank in ranks])))
    print("Total training steps: 3", flush=True)  # noqa: T201
    with Path(os.environ["VERL_FILE_LOGGER_PATH"]).open("w") as metrics:
        for step in range(1, 4):
            while allowed() < step:
                time.sleep(0.02)
                ray.get(ranks[0].where.remote())
            metrics.write(json.dumps({"step": step, "data": {"actor/lr": 0.1}}) + "\n")
            metrics.flush()


def allowed() -> int:
    try:
        return int(Path(sys.argv[1], "go").read_text() or 0)
    except FileNotFoundError:
        return 0


main()
