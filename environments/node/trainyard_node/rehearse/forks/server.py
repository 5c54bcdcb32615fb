"""The process whose forks are the Pythons of a trainer."""

import json
import os
import random
import runpy
import select
import shutil
import signal
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import ModuleType
from typing import Any

HEAD = 8  # bytes that say how long a request is
# What a Python does with them when it starts.
STOPS: Mapping[signal.Signals, Any] = {
    signal.SIGTERM: signal.SIG_DFL,
    signal.SIGHUP: signal.SIG_DFL,
    signal.SIGINT: signal.default_int_handler,
}


@dataclass(frozen=True)
class Program:
    """What a Python was started with."""

    argv: list[str]

    def run(self) -> int:
        """As `python -m MODULE ...` and `python FILE ...` do; 0 when it ends without a code."""
        first = next(i for i, word in enumerate(self.argv) if word != "-u")
        name, rest = self.argv[first], self.argv[first + 1 :]
        sys.modules["__main__"] = ModuleType("__main__")
        if name == "-m":
            sys.argv, sys.path[0] = ["-m", *rest[1:]], os.getcwd()
            runpy._run_module_as_main(rest[0])  # type: ignore[attr-defined]
        else:
            sys.argv, sys.path[0] = [name, *rest], os.path.dirname(name)
            runpy.run_path(name, run_name="__main__")
        return 0


def serve(listener: socket.socket, lifeline: int, folder: str) -> Program:
    """Fork for each request, until the other end of ``lifeline`` is closed, be it by the end of who
    began this; then its folder goes. Returns in the forks alone, with the program that each is to
    run.

    A signal to the group of the rehearsal is for those whom the callers started: they are told.
    """
    for stop in STOPS:
        signal.signal(stop, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel then keeps no dead child
    while lifeline not in _ready(listener, lifeline):
        caller, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            os.close(lifeline)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            return _forked(caller)
        caller.close()
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(0)


def _ready(*waiting: Any) -> list[Any]:
    return select.select(waiting, [], [])[0]


def _forked(caller: socket.socket) -> Program:
    """One fork stays with the caller, and another becomes what was asked for."""
    head, descriptors, _, _ = socket.recv_fds(caller, HEAD, 3)
    text = caller.recv(int.from_bytes(head, "big"), socket.MSG_WAITALL)
    asked: dict[str, Any] = json.loads(text)
    child = os.fork()
    if child:
        for descriptor in descriptors:
            os.close(descriptor)
        _stay(caller, child, bool(asked["leads"]))
        os._exit(0)
    caller.close()
    _become(asked, descriptors)
    return Program(asked["argv"])


def _become(asked: dict[str, Any], descriptors: list[int]) -> None:
    if asked["leads"] == "session":
        os.setsid()
    elif asked["leads"] == "group":
        os.setpgid(0, 0)
    for stop, handler in STOPS.items():
        signal.signal(stop, handler)
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.chdir(asked["cwd"])
    os.environ.clear()
    os.environ.update(asked["env"])
    random.seed()
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed()


def _stay(caller: socket.socket, child: int, leads: bool) -> None:
    """Pass signals on, and tell the end. Should the caller be killed, so is the child."""
    send = os.killpg if leads else os.kill
    ended = os.pidfd_open(child)
    while ended not in (ready := _ready(caller, ended)):
        if caller in ready:
            told = caller.recv(1)
            with suppress(ProcessLookupError):
                send(child, told[0] if told else signal.SIGKILL)
            if not told:
                return
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if leads:
        with suppress(ProcessLookupError):
            os.killpg(child, signal.SIGTERM)  # what it left behind
    with suppress(OSError):
        caller.sendall(bytes([code < 0, abs(code)]))
