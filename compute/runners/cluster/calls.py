"""Asks a node of the cluster: a small job runs a fixed command, and its log is the answer.

A question costs some seconds, so none is for polling.
"""

import base64
import binascii
import json
import shlex
import threading
import time
import uuid
import zlib
from contextlib import suppress
from typing import Any

from compute.runners.base import RunnerError, RunnerUnsure
from compute.runners.cluster.api import JobInfo, RayApi
from compute.runners.cluster.package import node_package

ANSWER = "@trainyard-answer "
CALL = "trainyard-call-"
MOST_SWEPT = 100
ANSWERS_WITHIN = 120.0  # seconds; a busy head may take a minute to start a Python
FIRST_LOOK, LAST_LOOK = 0.1, 0.4
NO_PYTHON = ("127", "126")
KEPT_FOR = 20.0  # seconds
_done: list[tuple[float, RayApi, str]] = []
_lock = threading.Lock()


def order_of(order: dict[str, Any]) -> str:
    """The order as one word of letters and digits, which no shell interprets."""
    return base64.b64encode(zlib.compress(json.dumps(order).encode(), 9)).decode()


def entrypoint(python: str, module: str, order: dict[str, Any]) -> str:
    """The one line that Ray hands to a shell."""
    return f"{shlex.quote(python)} -m trainyard_node.{module} {order_of(order)}"


def runtime_env(api: RayApi, env: dict[str, str] | None = None) -> dict[str, Any]:
    """The environment of a job, with the node package, which is sent there first."""
    name, data = node_package()
    api.bring(name, data)
    return {"py_modules": [f"gcs://{name}"], "env_vars": dict(env or {})}


def on_node(node: str) -> dict[str, Any]:
    """The part of an order that names a node; without one, Ray takes the head."""
    return {"entrypoint_label_selector": {"ray.io/node-id": node}} if node else {}


def call(
    api: RayApi,
    python: str,
    do: str,
    node: str = "",
    within: float = ANSWERS_WITHIN,
    working_dir: str = "",
    **asked: Any,
) -> Any:
    """The node's answer. Raises ``RunnerError`` with its sentence, ``RunnerUnsure`` without one."""
    name = f"{CALL}{uuid.uuid4().hex}"
    env = runtime_env(api) | ({"working_dir": working_dir} if working_dir else {})
    api.submit(
        {
            "entrypoint": entrypoint(python, "ray_call", {"do": do, **asked}),
            "submission_id": name,
            "runtime_env": env,
            "metadata": {"trainyard": do},
            **on_node(node),
        }
    )
    info = _wait(api, name, do, within)
    answer = _answer_in(api.log(name))
    _forget_later(api, name)
    if answer is None:
        raise RunnerError(_failed(info, python, do))
    if "error" in answer:
        raise RunnerError(str(answer["error"]))
    return answer.get("said")


def _forget_later(api: RayApi, name: str) -> None:
    """Remove earlier questions from the cluster's list of jobs.

    This one must stay for a while: as long as Ray watches its job, Ray would list it again, as a
    job that failed.
    """
    with _lock:
        _done.append((time.monotonic(), api, name))
        old = [one for one in _done if one[0] < time.monotonic() - KEPT_FOR]
        _done[:] = [one for one in _done if one not in old]
    for _, its_api, its_name in old:
        with suppress(RunnerError):
            its_api.forget(its_name)


def sweep(api: RayApi) -> None:
    """Remove the questions of processes that are gone from the cluster's list of jobs."""
    with suppress(RunnerError):
        for name in api.ended(CALL)[:MOST_SWEPT]:
            api.forget(name)


def _wait(api: RayApi, name: str, do: str, within: float) -> JobInfo:
    deadline, pause = time.monotonic() + within, FIRST_LOOK
    while time.monotonic() < deadline:
        info = api.job(name)
        if info is None:
            raise RunnerUnsure(f"{do} gave no answer: the cluster has lost it.")
        if info.has_ended:
            return info
        time.sleep(pause)
        pause = min(pause * 1.5, LAST_LOOK)
    api.stop(name)
    raise RunnerUnsure(f"{do} gave no answer for {within:.0f} s.")


def _answer_in(log: str) -> dict[str, Any] | None:
    for line in reversed(log.splitlines()):
        if line.startswith(ANSWER):
            try:
                found = json.loads(base64.b64decode(line.removeprefix(ANSWER), validate=True))
            except (ValueError, binascii.Error):
                return None
            return found if isinstance(found, dict) else None
    return None


def _failed(info: JobInfo, python: str, do: str) -> str:
    if any(f"exit code {code}" in info.message for code in NO_PYTHON):
        return no_python(python)
    said = last_words(info.message) or info.status
    if "No module named" in said:
        return (
            f"{python} on the cluster is not the Python that has verl ({said}). Set the machine's "
            "Python to the whole path of the one that has."
        )
    return f"{do} did not work on the cluster: {said}"


def no_python(python: str) -> str:
    return (
        f"There is no Python at {python}. Set the machine's Python to one that the nodes of the "
        "cluster have, with verl in it."
    )


def last_words(message: str) -> str:
    """The last line of a log that is meant for people."""
    lines = [line.strip() for line in message.splitlines()]
    plain = [line for line in lines if line and not line.startswith("@trainyard")]
    return plain[-1][:500] if plain else ""
