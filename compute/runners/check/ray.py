"""What a Ray cluster needs before runs are sent to it, asked through its API and judged."""

import json
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from compute.runners.base import LoginRefused, RunnerError, RunnerUnsure, Unreachable
from compute.runners.check.judgements import Expected, Finding, judge
from compute.runners.check.preflight import LABELS, NOT_ASKED, CheckLine, CheckReport
from compute.runners.cluster.api import Node, RayApi
from compute.runners.cluster.calls import call
from platform_site.counts import counted

ROUND_TRIPS = 3
SLOW_WITHIN = 60.0  # seconds; the first import of torch and verl reads gigabytes
SEEN_WITHIN = 10.0  # seconds in which a file on a network's file system appears elsewhere
ASKED_AT_ONCE = 8
MOST_ASKED = 16  # a check has two minutes
OWN = {"reach": "Reachable", "login": "Token", "ray": "Ray", "nodes": "Nodes"}
OF_A_NODE = (
    "python", "workdir", "disk", "speed", "memory", "shm", "gpus", "cuda", "packages", "verl",
    "node", "clock",
)  # fmt: skip
SHARED = {"shared": "Shared folder"}
ALL = OWN | {name: LABELS[name] for name in OF_A_NODE} | SHARED


def check_cluster(
    api: RayApi, expected: Expected, seen: Callable[[Unreachable], None]
) -> CheckReport:
    """Ask everything. ``seen`` is told when the cluster does not answer, or lets nobody in."""
    api.retry_now()
    found: dict[str, Finding] = {}
    nodes: list[Node] = []
    try:
        ahead = _reach(api, expected, found)
        nodes = _nodes(api, found)
        parts = _ask_node(api, expected, nodes, ahead, found)
        found["shared"] = _shared_or_why_not(api, expected, nodes)
    except LoginRefused as error:
        seen(error)
        found["reach"] = Finding("pass", "it answers")
        found["login"] = Finding("fail", "refused", str(error), "ray get-auth-token")
        return _listed(found)
    except Unreachable as error:
        seen(error)
        fix = f"curl {api.address}/api/version"
        found["reach"] = Finding("fail", "no connection", str(error), fix)
        return _listed(found)
    except RunnerError as error:
        found.setdefault("reach", Finding("fail", "no Ray", str(error)))
        found.setdefault("python", Finding("fail", "no answer", str(error)))
        return _listed(found, nodes=nodes)
    return _listed(found, parts, nodes)


def _reach(api: RayApi, expected: Expected, found: dict[str, Finding]) -> float:
    """The seconds by which the cluster's clock is ahead."""
    release, _ = api.version()
    trips = []
    for _ in range(ROUND_TRIPS):
        began = time.monotonic()
        _, clock = api.version()
        trips.append(time.monotonic() - began)
    trip = sorted(trips)[ROUND_TRIPS // 2]
    slow = "Pages and logs of its runs will lag behind. Nothing else suffers."
    said = f"{trip * 1000:.0f} ms there and back"
    found["reach"] = Finding("pass", said) if trip < 1 else Finding("fail", said, slow)
    found["login"] = Finding("pass", "accepted" if api.token else "none is asked for")
    wanted = expected.lock.get("ray", "")
    says = f"The lock of verl {expected.release} has {wanted}; the cluster runs {release}."
    fix = f"pip install ray=={wanted}  # on all nodes, then start the cluster again"
    same = not wanted or release == wanted
    found["ray"] = Finding("pass", release) if same else Finding("fail", release, says, fix)
    return clock - time.time()


def _nodes(api: RayApi, found: dict[str, Finding]) -> list[Node]:
    nodes = api.nodes()
    shown = [
        f"{node.name}: {_many(node.cpus, 'CPU')}, {_many(node.gpus, 'GPU')}" for node in nodes[:8]
    ]
    more = f", and {len(nodes) - 8} more" if len(nodes) > 8 else ""
    count = f"{len(nodes)} {'node lives' if len(nodes) == 1 else 'nodes live'}"
    outcome = Finding("pass", count, "; ".join(shown) + more)
    found["nodes"] = outcome if nodes else Finding("fail", "none lives")
    return nodes


def _ask_node(
    api: RayApi,
    expected: Expected,
    nodes: list[Node],
    ahead: float,
    found: dict[str, Finding],
) -> Mapping[str, Any]:
    """Look at the node with the most GPUs: its Python, its packages, its disk."""
    most = max(nodes, key=lambda node: (node.gpus, node.is_head), default=None)
    said = call(
        api, expected.python, "probe", most.id if most else "", SLOW_WITHIN + 30,
        workdir=expected.workdir, limit=SLOW_WITHIN,
    )  # fmt: skip
    try:
        parts: dict[str, Any] = json.loads(str(said).strip().splitlines()[-1])["parts"]
    except (ValueError, IndexError, KeyError, TypeError):
        raise RunnerError(f"It answered {said!r:.120}, which cannot be read.") from None
    judged = judge(parts, expected, ahead)
    found |= {name: judged[name] for name in OF_A_NODE if name in judged}
    return {name: part for name, part in parts.items() if name != "packages"}


def _many(number: float, thing: str) -> str:
    """Ray also counts parts of one."""
    return counted(int(number), thing) if number == int(number) else f"{number:g} {thing}s"


def _shared_or_why_not(api: RayApi, expected: Expected, nodes: list[Node]) -> Finding:
    try:
        return _shared(api, expected, nodes)
    except Unreachable:
        raise
    except RunnerError as error:
        return Finding("fail", "it could not be tried", str(error))


def _shared(api: RayApi, expected: Expected, nodes: list[Node]) -> Finding:
    """Whether a file that one node writes into the work folder is seen by all others."""
    if len(nodes) < 2:
        return Finding("pass", "one node: nothing to share")
    mark = f".trainyard-{secrets.token_hex(8)}"
    place: dict[str, Any] = {"folder": expected.workdir, "name": mark}
    first, *others = nodes[: MOST_ASKED + 1]
    try:
        call(api, expected.python, "leave", first.id, **place)
        with ThreadPoolExecutor(ASKED_AT_ONCE) as pool:
            answers = list(pool.map(lambda node: _sees(api, expected, node, place), others))
    finally:
        with suppress(RunnerError):
            call(api, expected.python, "forget", first.id, **place)
    blind = [node.name for node, sees in zip(others, answers, strict=True) if not sees]
    if not blind and len(others) + 1 < len(nodes):
        told = f"{len(others) + 1} of {len(nodes)} nodes were asked, and see {expected.workdir}"
        return Finding("pass", told)
    if not blind:
        return Finding("pass", f"all {len(nodes)} nodes see {expected.workdir}")
    says = (
        f"What {first.name} writes into {expected.workdir} is not seen on {', '.join(blind[:8])}. "
        "A run's folder must be on a file system that all nodes share."
    )
    return Finding("fail", f"{len(blind)} of {len(others)} do not see it", says)


def _sees(api: RayApi, expected: Expected, node: Node, place: dict[str, Any]) -> bool:
    try:
        return bool(call(api, expected.python, "sees", node.id, **place, limit=SEEN_WITHIN))
    except RunnerUnsure:
        return False


def _listed(
    found: Mapping[str, Finding],
    facts: Mapping[str, Any] | None = None,
    nodes: list[Node] | None = None,
) -> CheckReport:
    lines = list(_lines(found))
    return CheckReport(lines, facts or {}, [node.to_json() for node in nodes or ()])


def _lines(found: Mapping[str, Finding]) -> Iterator[CheckLine]:
    for name, label in ALL.items():
        one = found.get(name)
        if one is None:
            yield CheckLine(name, label, "unknown", "", NOT_ASKED)
        else:
            yield CheckLine(name, label, one.outcome, one.found, one.says, one.fix)
