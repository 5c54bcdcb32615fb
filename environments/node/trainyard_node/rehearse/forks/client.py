"""`client.py SOCKET ARGUMENTS...`: be the Python that was started with these arguments, by a fork.

The fork has this process's environment, folder, input and output. Signals are passed on to it, and
its end is told by the exit code. Where no fork can be had, the plain Python does it instead.

It is run by its path, with `-I -S`: it imports no package, so that it starts at once.
"""

import ctypes
import json
import os
import signal
import socket
import sys

PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
ENDED_WITHOUT_A_WORD = 70
PR_SET_PDEATHSIG = 1  # of linux/prctl.h


def main(address: str, argv: list[str]) -> int:
    with socket.socket(socket.AF_UNIX) as server:
        try:
            server.connect(address)
        except OSError:
            os.execv(sys.executable, [sys.executable, *argv])
        for number in PASSED_ON:
            signal.signal(number, lambda number, _: server.sendall(bytes([number])))
        # Workers would outlive their Ray by a minute, and take the time of the next run.
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        ask(server, argv)
        told = server.recv(2, socket.MSG_WAITALL)
    if len(told) < 2:
        return ENDED_WITHOUT_A_WORD
    by_signal, code = told
    if by_signal:
        signal.signal(code, signal.SIG_DFL)
        os.kill(os.getpid(), code)
    return code


def ask(server: socket.socket, argv: list[str]) -> None:
    pid = os.getpid()
    leads = "session" if os.getsid(0) == pid else "group" if os.getpgrp() == pid else ""
    asked = {"argv": argv, "env": dict(os.environ), "cwd": os.getcwd(), "leads": leads}
    text = json.dumps(asked).encode()
    socket.send_fds(server, [len(text).to_bytes(8, "big")], [0, 1, 2])
    server.sendall(text)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
