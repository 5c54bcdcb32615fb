"""Opens an SSH session to a host and port, without logging in."""

import contextlib
import socket
import time
from collections.abc import Sequence
from typing import Any

import paramiko
from paramiko.ssh_exception import IncompatiblePeer

from compute.runners.base import Unreachable
from compute.runners.ssh.address import Address
from compute.runners.ssh.greeting import greet

CONNECT_WITHIN = 10.0  # seconds, from the name to the end of the key exchange
IDLE_BEFORE_PROBE = 15  # seconds of silence after which the system probes the peer
PROBES = 4
UNHEARD_FOR = 30  # seconds that sent bytes may stay unacknowledged
# Ciphers that encrypt and sign in one pass come first, then the order of OpenSSH.
CIPHERS = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes128-ctr", "aes256-ctr")


def open_socket(address: Address, within: float) -> socket.socket:
    """A TCP connection. Raises ``Unreachable``."""
    try:
        line = socket.create_connection((address.host, address.port), within)
    except socket.gaierror as error:
        raise Unreachable(
            f"No machine is known by the name {address.host} ({error.strerror}). Check its "
            "spelling."
        ) from error
    except ConnectionRefusedError as error:
        raise Unreachable(
            f"{address.host} refuses connections at port {address.port}. Is its SSH server "
            "running, and is this its port?"
        ) from error
    except TimeoutError as error:
        raise Unreachable(
            f"{address} does not answer within {within:.0f} s. Is it switched on, and does a "
            "firewall let its port through?"
        ) from error
    except (OSError, UnicodeError) as error:
        raise Unreachable(f"{address} cannot be reached: {error}.") from error
    _watch(line)
    return line


def negotiate(
    line: Any, address: Address, within: float, algorithms: Sequence[str] = ()
) -> paramiko.Transport:
    """Greet and exchange keys. ``algorithms`` limits the kinds of host key that are taken.

    Raises ``Unreachable``, or paramiko's ``IncompatiblePeer`` when the two have nothing in common.
    """
    deadline = time.monotonic() + within
    try:
        greeted: Any = greet(line, str(address), within)
        transport = paramiko.Transport(greeted)
    except BaseException:
        line.close()
        raise
    options = transport.get_security_options()
    options.ciphers = [*CIPHERS, *(name for name in options.ciphers if name not in CIPHERS)]
    if algorithms:
        options.key_types = list(algorithms)
    try:
        _exchange(transport, address, deadline - time.monotonic())
    except BaseException:
        transport.close()
        raise
    return transport


def _exchange(transport: paramiko.Transport, address: Address, left: float) -> None:
    try:
        transport.start_client(timeout=max(left, 0.1))
    except IncompatiblePeer:
        raise
    except (paramiko.SSHException, EOFError, OSError) as error:
        raise Unreachable(f"{address} ended the talk before it began ({error}).") from error
    # start_client returns without an error when its time is over.
    if not transport.initial_kex_done:
        raise Unreachable(f"{address} greets as SSH does and then says nothing. Try again later.")


def _watch(line: socket.socket) -> None:
    """Let the system find out that the peer is gone; without this it may take hours."""
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    line.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    wanted = {
        "TCP_KEEPIDLE": IDLE_BEFORE_PROBE,
        "TCP_KEEPINTVL": IDLE_BEFORE_PROBE // 3,
        "TCP_KEEPCNT": PROBES,
        "TCP_USER_TIMEOUT": UNHEARD_FOR * 1000,
    }
    for name, value in wanted.items():
        # Not every system has each of them.
        with contextlib.suppress(AttributeError, OSError):
            line.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
