"""`python -m trainyard_node.cluster head|join|look|down DIR …`: one machine's part of the Ray
cluster for a run on several machines.

DIR is the part's own folder: its `pid` file, `train.log` (Ray's output), `address` (of the head's
GCS) and, at its end, `exit_code`. All subcommands print JSON. A part ends by `down`, by its keeper
when the run of the head is over (see `keeper`), or by itself when the head is gone.
"""

import argparse
import json
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trainyard_node import processes
from trainyard_node.attempt import Attempt
from trainyard_node.detach import run_detached
from trainyard_node.identity import is_alive
from trainyard_node.keeper import Keeper
from trainyard_node.record import read_record
from trainyard_node.stop import survivors

SAID = 4000  # bytes of the log's end in an answer
ENDS_WITHIN = 20.0  # seconds


def main(argv: Sequence[str] | None = None) -> int:
    """Run the subcommand. Return 0 on success, else 1 with a sentence on stderr."""
    arguments = _parser().parse_args(argv)
    try:
        answer = COMMANDS[arguments.do](Attempt.at(arguments.directory), arguments)
    except OSError as error:
        print(error, file=sys.stderr)
        return 1
    if isinstance(answer, int):
        return answer
    print(json.dumps(answer))
    return 0


def start(part: Attempt, arguments: argparse.Namespace) -> int | dict[str, Any]:
    """Start this machine's part and its keeper, once; return when Ray's process exists.

    Raises OSError when the part exists already.
    """
    part.root.mkdir(parents=True)
    run = Attempt.at(arguments.run) if arguments.do == "head" else None
    # The folder holds sockets, and a socket's path may have only 107 bytes.
    temp = tempfile.mkdtemp(prefix="ty-ray-", dir="/tmp")
    keeper = Keeper(part, ray_command(arguments, temp), temp, run)
    code = run_detached(keeper.run)
    return code or look(part, arguments)


def ray_command(arguments: argparse.Namespace, temp: str) -> list[str]:
    """The `ray start` command of a part. No port is known in advance."""
    if arguments.do == "join":
        where = ["--address", arguments.at]
    else:
        # Ray serves clients anyway, and another cluster may use its default client port.
        client = ["--ray-client-server-port", str(_free_port())]
        where = ["--head", "--port", "0", "--include-dashboard", "false", *client]
    memory = ["--object-store-memory", str(arguments.memory)] if arguments.memory else []
    return [
        sys.executable, "-m", "ray.scripts.scripts", "start", "--block", *where,
        "--node-ip-address", arguments.address, "--temp-dir", temp,
        "--num-gpus", str(arguments.gpus), *memory,
        *(["--num-cpus", str(arguments.cpus)] if arguments.cpus else []),
    ]  # fmt: skip


def look(part: Attempt, arguments: argparse.Namespace) -> dict[str, Any]:
    """The state of a part.

    `alive`: whether Ray's process exists; `address` of the GCS, empty until it is up; `said`: the
    end of the log; with --nodes also `nodes`: `address` and `gpus` of each living node, from the
    GCS.
    """
    record = read_record(part)
    alive = bool(record and record.is_of_this_boot() and is_alive(record.process))
    address = _read(part.root / "address") if alive else ""
    answer = {"alive": alive, "address": address, "said": _read(part.log)[-SAID:]}
    if getattr(arguments, "nodes", False):
        answer["nodes"] = nodes(address) if address else []
    return answer


def nodes(address: str) -> list[dict[str, Any]]:
    """The living nodes of a cluster; empty while its GCS does not answer."""
    from ray._raylet import GcsClient

    try:
        found = GcsClient(address=address).get_all_node_info(timeout=5).values()
    except Exception as error:
        print(error, file=sys.stderr)
        return []
    return [
        {"address": one.node_manager_address, "gpus": one.resources_total.get("GPU", 0.0)}
        for one in found
        if one.state == 0  # alive
    ]


def down(part: Attempt, arguments: argparse.Namespace) -> dict[str, Any]:
    """End the part, or all parts in this folder; `left` lists processes that could not be ended.

    Only recorded processes are ended, and only those that started on this boot of this machine.
    """
    parts = [part, *map(Attempt.at, sorted(part.root.glob("*/")))]
    return {"left": [pid for each in parts for pid in end(each)]}


def end(part: Attempt) -> list[int]:
    """End one part; return the ids of processes that could not be ended."""
    record = read_record(part)
    if record is None or not record.is_of_this_boot():
        return []
    if is_alive(record.wrapper):
        os.kill(record.wrapper.pid, signal.SIGTERM)
        processes.wait_until(lambda: not is_alive(record.wrapper), ENDS_WITHIN)
    left = processes.end(lambda: survivors(record), 3.0, 10.0)
    return [process.pid for process in left]


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""


COMMANDS: dict[str, Any] = {"head": start, "join": start, "look": look, "down": down}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m trainyard_node.cluster")
    ways = parser.add_subparsers(dest="do", required=True)
    for name in COMMANDS:
        way = ways.add_parser(name)
        way.add_argument("directory")
        if name in ("head", "join"):
            way.add_argument("--address", required=True, help="where the others reach this one")
            way.add_argument("--gpus", type=int, default=0)
            way.add_argument("--cpus", type=int, default=0, help="0: as many as there are")
            way.add_argument("--memory", type=int, default=0, help="bytes of the object store")
        if name == "head":
            way.add_argument("--run", required=True, help="the attempt directory that it is for")
        if name == "join":
            way.add_argument("--at", required=True, help="the head's address:port")
        if name == "look":
            way.add_argument("--nodes", action="store_true")
    return parser


def _free_port() -> int:
    import socket

    with socket.socket() as line:
        line.bind(("", 0))
        return int(line.getsockname()[1])


if __name__ == "__main__":
    sys.exit(main())
