"""Judges the answers of a machine: takes facts, returns findings, asks nothing itself."""

import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from compute.runners.ssh.workdir import is_plain
from platform_site.counts import size_text

GIB = 1024**3
DISK_FREE = 20 * GIB  # an environment takes about ten, and a checkpoint must fit beside it
FILES_FREE = 100_000  # an environment has about as many
DISK_SPEED = 20e6  # bytes a second
MEMORY_FREE = 4 * GIB
SHM_TOTAL = GIB  # Docker's default of 64 MiB makes data loaders crash
CLOCK_AHEAD = 30.0  # seconds, either way
SHOWN = 8  # packages that differ, before "and n more"
CANNOT_START = (
    "Ray cannot start its workers by a Python whose path has spaces or quotes in it: no PPO, GRPO "
    "or GSPO runs here."
)


@dataclass(frozen=True)
class Expected:
    """What the machine should be like, and what names it in a command to copy."""

    name: str
    release: str
    workdir: str
    python: str = ""
    node: str = ""
    lock: Mapping[str, str] = field(default_factory=dict)
    host: str = ""
    by_hand: str = ""
    is_local: bool = False
    is_own: bool = True  # a set-up of Trainyard makes and repairs the environment

    @property
    def set_up(self) -> str:
        return (
            "make install" if self.is_local else f"manage.py machine setup {shlex.quote(self.name)}"
        )


@dataclass(frozen=True)
class Finding:
    outcome: Literal["pass", "fail", "unknown"]
    found: str = ""
    says: str = ""
    fix: str = ""


Facts = Mapping[str, Any]
Judge = Callable[[Any, Facts, Expected], Finding]


def judge(parts: Facts, expected: Expected, ahead: float) -> dict[str, Finding]:
    """A finding for each thing that a machine is asked.

    ``parts`` is what ``probe.py`` prints, ``ahead`` the seconds by which its clock is ahead.
    """
    found = {
        name: _judged(name, judge_one, parts.get(part), parts, expected)
        for name, (part, judge_one) in JUDGES.items()
    }
    found |= {name: _imported(name, parts, expected) for name in ("verl", "node", "ray")}
    return found | {"packages": _packages(parts, expected), "clock": _clock(ahead)}


def _judged(name: str, judge_one: Judge, answer: Any, parts: Facts, expected: Expected) -> Finding:
    if answer and "data" in answer:
        return judge_one(answer["data"], parts, expected)
    if answer and name in REFUSALS and not answer["why"].startswith("no answer"):
        return REFUSALS[name](name, answer, expected)
    return Finding("unknown", "", _why(answer))


def _why(answer: Any) -> str:
    return f"Not known: {answer['why']}." if answer else "The machine did not answer this."


def _login(data: Any, parts: Facts, expected: Expected) -> Finding:
    return Finding("pass", f"uid {data['uid']} on {data['host']}, {data['system']}")


def _rights(data: Any, parts: Facts, expected: Expected) -> Finding:
    return Finding("pass", "an ordinary user is enough", "Neither sudo nor Docker is used.")


def _python(data: Any, parts: Facts, expected: Expected) -> Finding:
    if expected.python:
        return _training_python(data, expected)
    good = [name for name, one in data.items() if _fits(one["version"])]
    found = ", ".join(f"{name} is {one['version']}" for name, one in data.items())
    if any(data[name]["makes_venvs"] for name in good):
        return Finding("pass", found)
    if good:
        says = "It lacks the module that makes environments (ensurepip)."
        short = ".".join(data[good[0]]["version"].split(".")[:2])
        return Finding("fail", found, says, f"apt-get install python{short}-venv")
    says = "verl needs Python 3.11 or 3.12. uv puts one into your own folder, without root."
    return Finding("fail", found or "none", says, "uv python install 3.12")


def _training_python(data: Any, expected: Expected) -> Finding:
    named = next((one for name, one in data.items() if _same(name, expected.python)), None)
    if named is None:
        says = f"There is no Python at {expected.python} that this user can run."
        return Finding("fail", "none", says, expected.set_up)
    if _fits(named["version"]):
        return Finding("pass", f"{expected.python} is {named['version']}")
    says = "The training environment needs Python 3.11 or 3.12."
    return Finding("fail", f"{expected.python} is {named['version']}", says, expected.set_up)


def _same(path: str, written: str) -> bool:
    return path == written or (written.startswith("~/") and path.endswith(written[1:]))


def _fits(version: str) -> bool:
    return re.match(r"3\.1[12]\.", version) is not None


def _writable(data: Any, parts: Facts, expected: Expected) -> Finding:
    will = "" if data["is_there"] else ", which will be made"
    return Finding("pass", f"{data['folder']} can be written to{will}")


def _not_writable(name: str, answer: Any, expected: Expected) -> Finding:
    folder = "~" if name == "home" else _quoted(expected.workdir)
    says = f"Nothing can be written there: {answer['why']}."
    return Finding("fail", "not writable", says, f'ls -ld {folder}; chown "$(id -un)" {folder}')


def _quoted(path: str) -> str:
    """A path for a command to copy; a leading ``~/`` must stay outside the quotes."""
    return "~/" + shlex.quote(path[2:]) if path.startswith("~/") else shlex.quote(path)


def _disk(data: Any, parts: Facts, expected: Expected) -> Finding:
    found = f"{_size(data['free'])} free of {_size(data['total'])} at {data['folder']}"
    fix = f"du -xh --max-depth=1 {_quoted(data['folder'])} | sort -h | tail"
    if data["free"] < DISK_FREE:
        says = f"An environment and one checkpoint need {_size(DISK_FREE)}."
        return Finding("fail", found, says, fix)
    if data["files_free"] is not None and data["files_free"] < FILES_FREE:
        return Finding("fail", found, f"Only {data['files_free']} more files fit there.", fix)
    return Finding("pass", found)


def _speed(data: Any, parts: Facts, expected: Expected) -> Finding:
    found = f"{size_text(data['bytes_per_second'])}/s written"
    if data["bytes_per_second"] >= DISK_SPEED:
        return Finding("pass", found)
    says = "Checkpoints will take long. Choose a work folder on a faster disk."
    return Finding("fail", found, says, "df -h --output=source,fstype,avail,target")


def _memory(data: Any, parts: Facts, expected: Expected) -> Finding:
    of = "of the container's" if data["is_container"] else "of"
    found = f"{_size(data['available'])} free {of} {_size(data['total'])}"
    if data["available"] >= MEMORY_FREE:
        return Finding("pass", found)
    says = f"Less than {_size(MEMORY_FREE)} is free: importing verl alone takes one."
    return Finding("fail", found, says, "ps -eo rss,pid,user,args --sort=-rss | head")


def _shm(data: Any, parts: Facts, expected: Expected) -> Finding:
    found = f"{_size(data['free'])} free of {_size(data['total'])}"
    if data["total"] >= SHM_TOTAL:
        return Finding("pass", found)
    says = "Ray and data loaders share tensors there. In a container, start it with this option."
    return Finding("fail", found, says, "--shm-size=16g")


def _gpus(data: Any, parts: Facts, expected: Expected) -> Finding:
    if data["gpus"]:
        return Finding("pass", _named(data["gpus"]))
    if data["cards"]:
        says = f"There is an NVIDIA card and no driver that serves it: {data['why']}."
        return Finding("fail", f"{data['cards']} without a driver", says, "nvidia-smi")
    return Finding("pass", "none", "No NVIDIA card here: runs train on the CPU.")


def _named(gpus: list[dict[str, Any]]) -> str:
    names = {f"{one['name']}, {_size(one['memory'])}": 0 for one in gpus}
    for one in gpus:
        names[f"{one['name']}, {_size(one['memory'])}"] += 1
    cards = "; ".join(f"{count} x {name}" for name, count in names.items())
    return f"{cards}; driver {gpus[0]['driver']}"


def _cuda(data: Any, parts: Facts, expected: Expected) -> Finding:
    """The driver's CUDA, and whether the environment's torch can use it."""
    if not data["gpus"]:
        if data["cards"]:
            return Finding("unknown", "", "Not known without a driver.")
        return Finding("pass", "none", "Not needed without a GPU.")
    found = f"the driver has CUDA {data['cuda'] or 'of an unknown release'}"
    torch = parts.get("torch") or {}
    if "data" not in torch:
        says = f"Whether torch can use it is not known: {torch.get('why', 'there is none yet')}."
        return Finding("unknown", found, says)
    return _torch(torch["data"], found, len(data["gpus"]), expected)


def _torch(torch: Facts, found: str, gpus: int, expected: Expected) -> Finding:
    built = f"torch {torch['version']} is built for CUDA {torch['cuda']}"
    if torch["cuda"] is None:
        says = f"torch {torch['version']} is built for the CPU and sees no GPU."
        fix = f"{_quoted(expected.python)} -m pip install --force-reinstall torch"
        return Finding("fail", found, says, fix)
    if torch["sees"] < gpus:
        says = f"{built} and sees {torch['sees']} of {gpus} GPUs. The driver may be too old for it."
        return Finding("fail", found, says, "nvidia-smi")
    return Finding("pass", f"{found}; {built}")


def _ports(data: Any, parts: Facts, expected: Expected) -> Finding:
    """A run needs no port by number and none from outside.

    Ray (GCS, raylet, object store) and torch's rendezvous take free ports of the loopback address,
    so what is checked is that some can be opened there. 6379 and the like are for clusters only.
    """
    return Finding("pass", f"{data['opened']} opened on the loopback address")


def _no_ports(name: str, answer: Any, expected: Expected) -> Finding:
    says = f"Ports cannot be opened on the loopback address: {answer['why']}."
    return Finding("fail", "none", says, "sysctl net.ipv4.ip_local_port_range; ulimit -n")


def _imported(name: str, parts: Facts, expected: Expected) -> Finding:
    module = "trainyard_node" if name == "node" else name
    answer = parts.get(module)
    if not expected.python:
        return _no_environment(expected)
    if not answer:
        return Finding("unknown", "", _why(answer))
    if "data" not in answer:
        return _not_imported(module, answer, expected)
    version, wanted = answer["data"]["version"], _wanted(name, expected)
    if name == "ray" and not is_plain(expected.python):
        return Finding("fail", version, CANNOT_START, expected.set_up)
    if not wanted or version == wanted:
        return Finding("pass", version)
    says = f"{wanted} is expected here, {version} is there."
    return Finding("fail", version, says, _mend(module, wanted, expected))


def _not_imported(module: str, answer: Any, expected: Expected) -> Finding:
    if answer["why"].startswith("no answer"):
        return Finding("unknown", "", _why(answer))
    wanted = _wanted("node" if module == "trainyard_node" else module, expected)
    says = f"It cannot be imported: {answer['why']}"
    return Finding("fail", "not importable", says, _mend(module, wanted, expected))


def _wanted(name: str, expected: Expected) -> str:
    return {
        "verl": expected.release,
        "node": expected.node,
        "ray": expected.lock.get("ray", ""),
    }[name]


def _mend(module: str, version: str, expected: Expected) -> str:
    if expected.is_own or expected.is_local:
        return expected.set_up
    if module == "trainyard_node":
        return f"{_quoted(expected.python)} -m pip install --no-deps environments/node"
    return f"{_quoted(expected.python)} -m pip install {module}=={version or expected.release}"


def _no_environment(expected: Expected) -> Finding:
    return Finding("fail", "none yet", "There is no training environment yet.", expected.set_up)


def _packages(parts: Facts, expected: Expected) -> Finding:
    if not expected.python:
        return _no_environment(expected)
    answer = parts.get("packages")
    if not answer or "data" not in answer:
        return Finding("unknown", "", _why(answer))
    if not expected.lock:
        return Finding("unknown", "", f"There is no lock for verl {expected.release} here.")
    apart = differing(answer["data"], expected.lock)
    if not apart:
        return Finding(
            "pass", f"all {len(expected.lock)} as in the lock of verl {expected.release}"
        )
    listed = [f"{name} {is_there or 'missing'} (lock: {pin})" for name, is_there, pin in apart]
    more = f", and {len(apart) - SHOWN} more" if len(apart) > SHOWN else ""
    pins = " ".join(shlex.quote(f"{name}=={pin}") for name, _, pin in apart)
    fix = f"{_quoted(expected.python)} -m pip install {pins}"
    found = f"{len(apart)} of {len(expected.lock)} differ from the lock"
    own = expected.is_own or expected.is_local
    return Finding("fail", found, ", ".join(listed[:SHOWN]) + more, expected.set_up if own else fix)


def differing(
    installed: Mapping[str, str], lock: Mapping[str, str]
) -> list[tuple[str, str | None, str]]:
    """Packages that are not there as locked: name, version there (or None), version of the lock.

    Names are compared as pip does, and a build's own mark (``+cu128``) is no difference.
    """
    there = {plain(name): version for name, version in installed.items()}
    return [
        (name, there.get(plain(name)), pin)
        for name, pin in lock.items()
        if (there.get(plain(name)) or "").partition("+")[0] != pin.partition("+")[0]
    ]


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def read_lock(text: str) -> dict[str, str]:
    """The pins of a lock file: ``name==version``, one a line; comments are left out."""
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    pins = (line.partition(";")[0].strip().partition("==") for line in lines if "==" in line)
    return {name.strip(): version.strip() for name, _, version in pins}


def _clock(ahead: float) -> Finding:
    way = "ahead of" if ahead > 0 else "behind"
    found = f"{abs(ahead):.1f} s {way} the platform's"
    if abs(ahead) <= CLOCK_AHEAD:
        return Finding("pass", found)
    says = "Times of its runs will be wrong on the pages. Let it follow a time server."
    return Finding("fail", found, says, "timedatectl set-ntp true")


def _size(value: float | None) -> str:
    return "unknown memory" if value is None else size_text(value)


JUDGES: dict[str, tuple[str, Judge]] = {
    "login": ("account", _login),
    "rights": ("account", _rights),
    "python": ("pythons", _python),
    "home": ("home", _writable),
    "workdir": ("workdir", _writable),
    "disk": ("disk", _disk),
    "speed": ("speed", _speed),
    "memory": ("memory", _memory),
    "shm": ("shm", _shm),
    "gpus": ("gpus", _gpus),
    "cuda": ("gpus", _cuda),
    "ports": ("ports", _ports),
}
# For these an answer that says why not is a failure; for others the outcome stays unknown.
REFUSALS: dict[str, Callable[[str, Any, Expected], Finding]] = {
    "home": _not_writable,
    "workdir": _not_writable,
    "ports": _no_ports,
}
