"""What a machine needs before runs are sent to it, asked of the machine itself and judged.

Each finding passes, fails or is unknown. What was not answered is unknown and never passes.
"""

import json
import re
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from compute.runners.base import HostKeyRefused, LoginRefused, RunnerError, Unreachable
from compute.runners.check.judgements import Expected, Finding, judge
from compute.runners.commands import RunCommand
from compute.runners.text import storable

Outcome: TypeAlias = Literal["pass", "fail", "unknown"]

PROGRAM = Path(__file__).with_name("probe.py")
SLOW_WITHIN = 60.0  # seconds; the first import of torch and verl reads gigabytes
MARGIN = 20.0
ROUND_TRIPS = 3
NOT_ASKED = "Not asked, since nothing can be asked of the machine."

__all__ = ["CheckLine", "CheckReport", "Expected", "check_machine", "usable_python"]


@dataclass(frozen=True)
class CheckLine:
    """One line of a check: what was looked at, what was found, and what to do about it.

    ``fix`` is a command line or a setting to copy; only what fails has one.
    """

    name: str
    label: str
    outcome: Outcome
    found: str = ""
    says: str = ""
    fix: str = ""

    def to_json(self) -> dict[str, str]:
        return asdict(self)


@dataclass(frozen=True)
class CheckReport:
    """What a check of a machine found: its lines in the order of the page, and the facts behind
    them, which are empty when nothing could be asked."""

    lines: Sequence[CheckLine]
    facts: Mapping[str, Any]
    nodes: Sequence[Mapping[str, Any]] = ()  # of a cluster: name, cpus, gpus

    @property
    def failed(self) -> list[CheckLine]:
        return [line for line in self.lines if line.outcome == "fail"]

    @property
    def is_good(self) -> bool:
        return all(line.outcome == "pass" for line in self.lines)


LABELS = {
    "reach": "Reachable",
    "host_key": "Host key",
    "login": "Login",
    "rights": "Rights",
    "python": "Python",
    "home": "Home folder",
    "workdir": "Work folder",
    "disk": "Disk space",
    "speed": "Disk speed",
    "memory": "Memory",
    "shm": "Shared memory",
    "gpus": "GPUs",
    "cuda": "CUDA",
    "packages": "Packages",
    "verl": "verl",
    "node": "Node package",
    "ray": "Ray",
    "ports": "Ports",
    "clock": "Clock",
}
OF_A_CONNECTION = ("reach", "host_key", "login")


def check_machine(
    run: RunCommand, expected: Expected, now: Callable[[], float] = time.time
) -> CheckReport:
    """Ask a machine everything, within about ``SLOW_WITHIN`` seconds, and judge the answers."""
    try:
        trip = _round_trip(run)
    except Unreachable as error:
        return _listed({} if expected.is_local else _not_reached(error, expected))
    except RunnerError as error:
        return _listed({"login": Finding("fail", "no commands", f"Commands do not run: {error}")})
    try:
        facts = _facts(run, expected)
    except RunnerError as error:
        return _listed(_connection(trip, expected) | {"python": _no_python(error)}, expected)
    ahead = facts["now"] - now() + trip / 2
    found = _connection(trip, expected) | judge(facts["parts"], expected, ahead)
    parts = {name: part for name, part in facts["parts"].items() if name != "packages"}
    return _listed(found, expected, parts)


def usable_python(facts: Mapping[str, Any]) -> str | None:
    """The Python of the machine that a training environment can be made with; None: there is none.

    ``facts`` are those of a ``CheckReport``.
    """
    found = facts.get("pythons", {}).get("data") or {}
    for name, python in found.items():
        if re.match(r"3\.1[12]\.", python["version"]) and python["makes_venvs"]:
            return str(name)
    return None


def _round_trip(run: RunCommand) -> float:
    """The median of some round trips in seconds, without the first, which opens the connection."""
    run(["true"], b"", MARGIN)
    times = []
    for _ in range(ROUND_TRIPS):
        began = time.monotonic()
        run(["true"], b"", MARGIN)
        times.append(time.monotonic() - began)
    return statistics.median(times)


def _facts(run: RunCommand, expected: Expected) -> dict[str, Any]:
    asked = json.dumps(
        {"python": expected.python, "workdir": expected.workdir, "within": SLOW_WITHIN}
    )
    try:
        said = run(["python3", "-", asked], PROGRAM.read_bytes(), SLOW_WITHIN + MARGIN)
    except Unreachable:
        raise
    except RunnerError:
        if not expected.python:
            raise
        said = run([expected.python, "-", asked], PROGRAM.read_bytes(), SLOW_WITHIN + MARGIN)
    try:
        facts: dict[str, Any] = storable(json.loads(said.decode().strip().splitlines()[-1]))
        return {"parts": facts["parts"], "now": float(facts["now"])}
    except (ValueError, IndexError, KeyError, TypeError, RecursionError):
        raise RunnerError(f"It answered {said[:120]!r}, which cannot be read.") from None


def _not_reached(error: Unreachable, expected: Expected) -> dict[str, Finding]:
    reached = Finding("pass", "it answers")
    if isinstance(error, HostKeyRefused):
        shown = f"ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub  # on {expected.host}"
        return {"reach": reached, "host_key": Finding("fail", "not accepted", str(error), shown)}
    if isinstance(error, LoginRefused):
        key = Finding("pass", "as it was confirmed")
        refused = Finding("fail", "refused", str(error), expected.by_hand)
        return {"reach": reached, "host_key": key, "login": refused}
    return {"reach": Finding("fail", "no connection", str(error), expected.by_hand)}


def _connection(trip: float, expected: Expected) -> dict[str, Finding]:
    if expected.is_local:
        return {}
    found = f"{trip * 1000:.0f} ms there and back"
    slow = "Pages and logs of its runs will lag behind. Nothing else suffers."
    reach = Finding("pass", found) if trip < 1 else Finding("fail", found, slow, expected.by_hand)
    return {"reach": reach, "host_key": Finding("pass", "as it was confirmed")}


def _no_python(error: RunnerError) -> Finding:
    says = f"Nothing could be asked through python3: {error}"
    return Finding("fail", "no answer", says, "apt-get install python3 python3-venv")


def _listed(
    found: Mapping[str, Finding],
    expected: Expected | None = None,
    facts: Mapping[str, Any] | None = None,
) -> CheckReport:
    """Every check in order; those without a finding were not asked, and are unknown."""
    left_out = OF_A_CONNECTION if expected and expected.is_local else ()
    lines = [
        _line(name, label, found.get(name))
        for name, label in LABELS.items()
        if name not in left_out
    ]
    return CheckReport(lines, facts or {})


def _line(name: str, label: str, finding: Finding | None) -> CheckLine:
    if finding is None:
        return CheckLine(name, label, "unknown", "", NOT_ASKED)
    return CheckLine(name, label, finding.outcome, finding.found, finding.says, finding.fix)
