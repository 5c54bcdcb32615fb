"""The process whose forks do bounded calls: ``python -m platform_site.bounded.forks DESCRIPTOR``.

It has one thread, imports the modules that are asked for, and does nothing of a user's itself.
"""

import importlib
import json
import os
import pickle
import signal
import socket
import sys
from typing import Any

from platform_site.bounded.limits import Limits, TooMuch
from platform_site.counts import limit_text

HERE = b"+"  # the first byte that a child says


def serve(control: socket.socket) -> None:
    """Fork for each call, until nobody is there who might ask."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel then keeps no dead child
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, 65536, 1)
        if not message:
            return
        with socket.socket(fileno=descriptors[0]) as caller:
            for module in json.loads(message):
                importlib.import_module(module)
            if os.fork() == 0:
                control.close()
                _work(caller)


def _work(caller: socket.socket) -> None:
    """Does not return."""
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        _answer(caller)
    finally:
        os._exit(0)


def _answer(caller: socket.socket) -> None:
    caller.sendall(HERE)
    limits, function, args, kwargs = pickle.loads(_read(caller))  # noqa: S301 from our own parent
    limits.lay_on()
    answer = _outcome(limits, function, args, kwargs)
    caller.sendall(answer)


def _read(caller: socket.socket) -> bytes:
    blocks = []
    while block := caller.recv(1 << 20):
        blocks.append(block)
    return b"".join(blocks)


def _outcome(limits: Limits, function: Any, args: Any, kwargs: Any) -> bytes:
    """(whether it failed, what was returned or raised), pickled."""
    try:
        return pickle.dumps((False, function(*args, **kwargs)))
    except RecursionError:
        return pickle.dumps((True, TooMuch("It is nested too deep for a page.")))
    except MemoryError:
        said = f"It needed more than {limit_text(limits.memory)} of memory, and was ended."
        return pickle.dumps((True, TooMuch(said)))
    except Exception as error:
        return _pickled(error)


def _pickled(error: Exception) -> bytes:
    try:
        answer = pickle.dumps((True, error))
        pickle.loads(answer)  # noqa: S301 an exception may be written and not be read
    except Exception:
        return pickle.dumps((True, RuntimeError(f"{type(error).__name__}: {error}")))
    return answer


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
