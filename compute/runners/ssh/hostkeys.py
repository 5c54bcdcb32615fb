"""Asks a host for its key without logging in."""

from compute.runners.ssh.address import Address
from compute.runners.ssh.connection import line_to
from compute.runners.ssh.dial import CONNECT_WITHIN, negotiate
from compute.runners.ssh.trust import HostKey, host_key_of

__all__ = ["HostKey", "scan"]


def scan(address: Address, within: float = CONNECT_WITHIN) -> HostKey:
    """The key that a host shows now; through its jump host when it has one, which must be known.

    Nothing is sent to the host but what the key exchange needs. Raises ``Unreachable``.
    """
    transport = negotiate(line_to(address, within), address, within)
    try:
        return host_key_of(transport)
    finally:
        transport.close()
