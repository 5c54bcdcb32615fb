"""A Ray over several machines, brought up for one run and taken down after it.

Each machine has a part of it (see ``trainyard_node.cluster``). It is for this run only: its own
ports, its own folder for sockets, and a token without which nobody is let in.
"""

import json
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from compute.runners.base import RunnerError, Unreachable
from compute.runners.ssh.runner import SshRunner
from platform_site.counts import counted

UP_WITHIN = 120.0  # seconds; a cold Ray on a slow disk
LOOK_EVERY = 0.5
LAST_WORDS = 400  # characters of a part's log
FOLDER = "cluster"


@dataclass(frozen=True)
class Part:
    """One machine's part: ``gpus`` is a number, of those in CUDA_VISIBLE_DEVICES of ``env``.

    ``address`` is where the other machines reach it.
    """

    name: str
    runner: SshRunner
    address: str
    gpus: int
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    cpus: int = 0  # logical ones; 0: as many as there are
    memory: int = 0  # bytes of the object store; 0: as Ray likes it


def bring_up(
    run_dir: str,
    parts: Sequence[Part],
    within: float = UP_WITHIN,
    told: Callable[[str], None] = lambda _: None,
) -> dict[str, str]:
    """Start the parts, the head first, and return what the run needs in its environment.

    Raises ``RunnerError`` with the machine that did not join and why; what was started is then
    taken down. An ``Unreachable`` names the part in ``at``.
    """
    folder = f"{run_dir}/{FOLDER}/{secrets.token_hex(4)}"
    env = {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "1",
        "RAY_USAGE_STATS_ENABLED": "0",
        # The trainer is an actor of Ray, on any of the machines. It finds its requests there.
        "TRAINYARD_RUN_DIR": run_dir,
    }
    try:
        address = _start_all(folder, run_dir, parts, env, time.monotonic() + within, told)
    except Exception:
        take_down(run_dir, parts)
        raise
    return {**env, "RAY_ADDRESS": address}


def take_down(run_dir: str, parts: Sequence[Part]) -> list[str]:
    """End what was started for a run on these machines; a sentence for each where it failed."""
    problems = []
    for part in parts:
        try:
            left = json.loads(part.runner.cluster("down", f"{run_dir}/{FOLDER}"))["left"]
        except (RunnerError, ValueError, KeyError) as error:
            problems.append(f"Ray on {part.name} could not be taken down: {error}")
            continue
        if left:
            problems.append(f"Ray on {part.name} could not be ended: processes {left}.")
    return problems


def _start_all(
    folder: str,
    run_dir: str,
    parts: Sequence[Part],
    env: Mapping[str, str],
    deadline: float,
    told: Callable[[str], None],
) -> str:
    head, *others = parts
    told(f"Starting Ray on {head.name}.")
    _ask(head, "head", f"{folder}-0", env, "--run", run_dir)
    address = str(_until(head, f"{folder}-0", "address", deadline)["address"])
    for place, part in enumerate(others, 1):
        _must_share(part, head, f"{folder}-0/pid")
        told(f"Starting Ray on {part.name}.")
        _ask(part, "join", f"{folder}-{place}", env, "--at", address)
    told("Waiting for all machines to join.")
    for place, part in enumerate(others, 1):
        _until(part, f"{folder}-{place}", "address", deadline)
    _check_nodes(f"{folder}-0", parts, env)
    return address


def _ask(
    part: Part, do: Literal["head", "join"], folder: str, env: Mapping[str, str], *argv: str
) -> None:
    given = [*argv, "--address", part.address, "--gpus", str(part.gpus), "--cpus", str(part.cpus)]
    given += ["--memory", str(part.memory)]
    try:
        answer = json.loads(part.runner.cluster(do, folder, *given, env={**part.env, **env}))
    except Unreachable as error:
        error.at = part.name
        raise
    except RunnerError as error:
        raise RunnerError(f"{part.name} did not start its Ray: {error}") from error
    if not answer["alive"]:
        raise RunnerError(f"{part.name} did not start its Ray: {_last(answer)}")


def _must_share(part: Part, head: Part, path: str) -> None:
    try:
        seen = part.runner.exists(path)
    except Unreachable as error:
        error.at = part.name
        raise
    if not seen:
        raise RunnerError(
            f"The work folder of {part.name} is not the one of {head.name}: what one writes there "
            "the other does not see. A run over several machines keeps its checkpoints and its "
            f"data in it: mount one shared folder at {head.runner.workdir} on all, or ask for no "
            f"more devices than {head.name} has."
        )


def _until(part: Part, folder: str, what: str, deadline: float) -> dict[str, Any]:
    """Look at a part until ``what`` is known. Raises ``RunnerError`` when it ended or is late."""
    while True:
        try:
            answer: dict[str, Any] = json.loads(part.runner.cluster("look", folder))
        except Unreachable as error:
            error.at = part.name
            raise
        if answer[what]:
            return answer
        if not answer["alive"]:
            raise RunnerError(f"{part.name} did not join: its Ray ended. {_last(answer)}")
        if time.monotonic() > deadline:
            raise RunnerError(f"{part.name} did not join in time. {_last(answer)}")
        time.sleep(LOOK_EVERY)


def _check_nodes(folder: str, parts: Sequence[Part], env: Mapping[str, str]) -> None:
    """Check that the head knows each machine with its devices. Raises ``RunnerError``."""
    answer = json.loads(parts[0].runner.cluster("look", folder, "--nodes", env=env))
    known = {node["address"]: int(node["gpus"]) for node in answer["nodes"]}
    for part in parts:
        if part.address not in known:
            raise RunnerError(f"{part.name} ({part.address}) is not among the nodes of the head.")
        if known[part.address] != part.gpus:
            raise RunnerError(
                f"{part.name} joined with {counted(known[part.address], 'GPU')} in place of "
                f"{part.gpus}."
            )


def _last(answer: Mapping[str, Any]) -> str:
    """The end of what Ray printed, without its colours."""
    said = "".join(char for char in str(answer["said"]) if char.isprintable() or char == "\n")
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return f"Its last words: {' / '.join(lines)[-LAST_WORDS:]}" if lines else "It said nothing."
